// The messages of munged and its clients whose causes are known: one table, from which doctor explains messages
// and docs/operations.md gets its troubleshooting section.

/** What a command that fixes something has to name. */
export interface Place {
  readonly socketPath: string;
  readonly keyFile: string;
  /** Name of the user munged runs as, or the UID if it has no name. */
  readonly user: string;
  /** The command that starts munged. */
  readonly start: string;
}

/** A message and its cause. */
export interface Cause {
  /** The literal message, with ... for the parts that vary; it may be part of a line. */
  readonly message: string;
  readonly pattern: RegExp;
  /** The cause in one sentence. */
  readonly text: string;
  /** The command that fixes it; `match` is what the pattern matched. */
  fix(place: Place, match: readonly string[]): string;
}

/** Quotes a word for the shell if it needs quoting. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

const newKey = ({ keyFile, user }: Place) =>
  `${user === "root" ? "" : `sudo -u ${user} `}mungekey --create --keyfile=${quote(keyFile)}`;
const setClock = () => "chronyc makestep";

export const CAUSES: readonly Cause[] = [
  {
    message: "Configuration file is insecure: ... must not be writable by group or other",
    pattern: /Configuration file is insecure: "(.+)" must not be writable/,
    text: "Other users could change munged's settings.",
    fix: (_place, [, path = ""]) => `chmod go-w ${quote(path)}`,
  },
  {
    message: "Configuration file is insecure: ... must be owned by root or UID ...",
    pattern: /Configuration file is insecure: "(.+)" must be owned/,
    text: "Its owner could change munged's settings.",
    fix: (_place, [, path = ""]) => `chown root ${quote(path)}`,
  },
  {
    message: "/etc/munge/munge.conf:...: ...",
    pattern: /^(\/.+?):\d+: /,
    text: "This line of the configuration file is invalid.",
    fix: (_place, [, path = ""]) => `editor ${quote(path)}`,
  },
  {
    message: "environment variable ...: Invalid value ...",
    pattern: /environment variable (\w+): /,
    text: "This environment variable has a value that its option does not accept.",
    fix: (_place, [, name]) => `unset ${name}`,
  },
  {
    message: "Failed to find keyfile ...: No such file or directory",
    pattern: /Failed to find keyfile "(.+)": No such file/,
    text: "There is no key. Copy it from another node, or create the realm's first one.",
    fix: newKey,
  },
  {
    message: "Keyfile is insecure: ... should be owned by UID ...",
    pattern: /Keyfile is insecure: "(.+)" should be owned by UID (\d+)/,
    text: "The key does not belong to the user munged runs as.",
    fix: ({ user }, [, path = ""]) => `chown ${user} ${quote(path)}`,
  },
  {
    message: "Keyfile is insecure: ... should not be readable or writable by ...",
    pattern: /Keyfile is insecure: "(.+)" should not be readable or writable by/,
    text: "Other users can read or change the key, so they could impersonate anyone.",
    fix: (_place, [, path = ""]) => `chmod 0600 ${quote(path)}`,
  },
  {
    message: "Keyfile is insecure: ... should not be a symbolic link",
    pattern: /Keyfile is insecure: "(.+)" should not be a symbolic link/,
    text: "Anyone who can change the link could substitute another key.",
    fix: (_place, [, path = ""]) =>
      `cp --remove-destination $(realpath ${quote(path)}) ${quote(path)}`,
  },
  {
    message: "Keyfile must be at least 32 bytes",
    pattern: /Keyfile must be at least/,
    text: "The key file is too short: it was truncated, or never filled.",
    fix: (place) => `${newKey(place)} --force`,
  },
  {
    message: "... is insecure: invalid ownership of ...",
    pattern: /is insecure: invalid ownership of "(.+)"/,
    text: "A directory above the file belongs to another user, who could replace the file.",
    fix: ({ user }, [, path = ""]) => `chown ${user} ${quote(path)}`,
  },
  {
    message: "... is insecure: ...-writable permissions without sticky bit set on ...",
    pattern: /is insecure: (?:group|world)-writable permissions .* on "(.+)"/,
    text: "Other users can write to a directory above the file, so they could replace the file.",
    fix: (_place, [, path = ""]) => `chmod go-w ${quote(path)}`,
  },
  {
    message: "Logfile is insecure: ... should ...",
    pattern: /Logfile is insecure: "(.+)" should/,
    text: "Other users can change the log.",
    fix: ({ user }, [, path = ""]) => `chown ${user} ${quote(path)} && chmod 0640 ${quote(path)}`,
  },
  {
    message: "Failed to check ... dir ...: cannot canonicalize ...: No such file or directory",
    pattern: /Failed to check .+ dir ".+": cannot (?:canonicalize|stat) "(.+)": No such file/,
    text: "A directory that munged needs does not exist.",
    fix: ({ user }, [, path = ""]) => `install -d -m 0755 -o ${user} ${quote(path)}`,
  },
  {
    message: "Socket is inaccessible: execute permissions for all required on ...",
    pattern: /execute permissions for all required on "(.+)"/,
    text: "Some users cannot pass through a directory above the socket.",
    fix: (_place, [, path = ""]) => `chmod a+x ${quote(path)}`,
  },
  {
    message: "Failed to lock ...: pid ... bound to socket ...",
    pattern: /Failed to lock ".+": pid (\d+) bound to socket "(.+)"/,
    text: "A munged is already running on this socket.",
    fix: (_place, [, , path = ""]) => `munged --stop --socket=${quote(path)}`,
  },
  {
    message: "Failed to validate lockfile: ... should ...",
    pattern: /Failed to validate lockfile: "(.+)" should/,
    text: "The socket's lock file was not made by munged.",
    fix: (_place, [, path = ""]) => `rm ${quote(path)}`,
  },
  {
    message: "Failed to resolve origin ...: Host not found",
    pattern: /Failed to resolve origin "(.+)"/,
    text: "This host's own name does not resolve to an IPv4 address.",
    fix: (_place, [, name = ""]) => `getent ahostsv4 ${quote(name)}`,
  },
  {
    message: "...: No space left on device",
    pattern: /No space left on device/,
    text: "A file system that munged writes to is full.",
    fix: () => "df -h",
  },
  {
    message: "Failed to access ...: No such file or directory (Did you start munged?)",
    pattern: /Failed to access "(.+)": No such file or directory/,
    text: "munged is not running, or listens on another socket.",
    fix: ({ start }) => start,
  },
  {
    message: "Failed to access ...: Permission denied",
    pattern: /Failed to access "(.+)": Permission denied/,
    text: "You are not allowed through a directory above the socket.",
    fix: ({ socketPath }) => `namei -l ${quote(socketPath)}`,
  },
  {
    message: "Failed to connect to ...: Connection refused",
    pattern: /Failed to connect to "(.+)": Connection refused/,
    text: "Nothing listens on the socket: the munged that created it is gone.",
    fix: ({ start }) => start,
  },
  {
    message: "Failed to receive message header: Timed-out",
    pattern: /Failed to receive message header: Timed-out/,
    text: "munged received the request but does not answer: it is stopped, or gets no CPU time.",
    fix: ({ start }) => start,
  },
  {
    message: "Invalid credential",
    pattern: /Invalid credential$/,
    text: "It was made with a different key than this host's, or altered on the way.",
    fix: () => "mungebox doctor OTHER-HOST",
  },
  {
    message: "Invalid credential format",
    pattern: /Invalid credential format|Failed to match armor|Truncated |No credential specified/,
    text: "This is not a credential, or only part of one.",
    fix: () => "munge -n",
  },
  {
    message: "Expired credential",
    pattern: /Expired credential/,
    text: "It was decoded after its time-to-live had ended, or the clocks differ.",
    fix: setClock,
  },
  {
    message: "Rewound credential",
    pattern: /Rewound credential/,
    text: "It comes from the future: the clock of the host that made it is ahead of this one's.",
    fix: setClock,
  },
  {
    message: "Replayed credential",
    pattern: /Replayed credential/,
    text: "It has already been decoded on this host, and can be decoded only once.",
    fix: () => "munge -n",
  },
  {
    message: "Unauthorized credential for client UID=... GID=...",
    pattern: /Unauthorized credential/,
    text: "It is restricted to another user or group; not even root is exempt.",
    fix: () => "munge -n --restrict-uid=USER",
  },
  {
    message: "Unrecognized security realm",
    pattern: /Unrecognized security realm/,
    text:
      "This host has no key for the credential's realm, or you are not allowed to use that realm.",
    fix: () => "munged --check-config",
  },
];

/** The cause of a message and its fix, if known. */
export function explain(
  text: string,
  place: Place,
): { text: string; fix: string } | undefined {
  for (const cause of CAUSES) {
    const match = cause.pattern.exec(text);
    if (match !== null) return { text: cause.text, fix: cause.fix(place, match) };
  }
  return undefined;
}
