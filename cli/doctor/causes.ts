// The messages of munged and its clients that have a known cause: one table, which doctor explains messages
// by, and from which docs/operations.md has its troubleshooting.

/** What a command that mends something has to name. */
export interface Place {
  readonly socketPath: string;
  readonly keyFile: string;
  /** Name, or else UID, of the user munged runs as. */
  readonly user: string;
  /** The command that starts munged. */
  readonly start: string;
}

/** A message and what is behind it. */
export interface Cause {
  /** The message as it is, with ... for what differs; it may be part of a line. */
  readonly message: string;
  readonly pattern: RegExp;
  /** The cause in one sentence. */
  readonly text: string;
  /** The command that mends it; `match` is the pattern's. */
  mend(place: Place, match: readonly string[]): string;
}

/** Quotes a word for the shell where that is needed. */
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
    text: "Others could tell munged what to do.",
    mend: (_place, [, path = ""]) => `chmod go-w ${quote(path)}`,
  },
  {
    message: "Configuration file is insecure: ... must be owned by root or UID ...",
    pattern: /Configuration file is insecure: "(.+)" must be owned/,
    text: "Its owner could tell munged what to do.",
    mend: (_place, [, path = ""]) => `chown root ${quote(path)}`,
  },
  {
    message: "/etc/munge/munge.conf:...: ...",
    pattern: /^(\/.+?):\d+: /,
    text: "This line of the configuration file is not understood.",
    mend: (_place, [, path = ""]) => `editor ${quote(path)}`,
  },
  {
    message: "environment variable ...: Invalid value ...",
    pattern: /environment variable (\w+): /,
    text: "This variable of the environment has a value that its option does not take.",
    mend: (_place, [, name]) => `unset ${name}`,
  },
  {
    message: "Failed to find keyfile ...: No such file or directory",
    pattern: /Failed to find keyfile "(.+)": No such file/,
    text: "There is no key; copy it from a node that has it, or make the realm's first.",
    mend: newKey,
  },
  {
    message: "Keyfile is insecure: ... should be owned by UID ...",
    pattern: /Keyfile is insecure: "(.+)" should be owned by UID (\d+)/,
    text: "The key belongs to another user than the one munged runs as.",
    mend: ({ user }, [, path = ""]) => `chown ${user} ${quote(path)}`,
  },
  {
    message: "Keyfile is insecure: ... should not be readable or writable by ...",
    pattern: /Keyfile is insecure: "(.+)" should not be readable or writable by/,
    text: "Others may read or change the key, so they could be anybody.",
    mend: (_place, [, path = ""]) => `chmod 0600 ${quote(path)}`,
  },
  {
    message: "Keyfile is insecure: ... should not be a symbolic link",
    pattern: /Keyfile is insecure: "(.+)" should not be a symbolic link/,
    text: "Whoever can change the link could put another key in its place.",
    mend: (_place, [, path = ""]) =>
      `cp --remove-destination $(realpath ${quote(path)}) ${quote(path)}`,
  },
  {
    message: "Keyfile must be at least 32 bytes",
    pattern: /Keyfile must be at least/,
    text: "The key file is too short to be a key: it was cut off, or never filled.",
    mend: (place) => `${newKey(place)} --force`,
  },
  {
    message: "... is insecure: invalid ownership of ...",
    pattern: /is insecure: invalid ownership of "(.+)"/,
    text: "A directory above the file belongs to somebody else, who could replace the file.",
    mend: ({ user }, [, path = ""]) => `chown ${user} ${quote(path)}`,
  },
  {
    message: "... is insecure: ...-writable permissions without sticky bit set on ...",
    pattern: /is insecure: (?:group|world)-writable permissions .* on "(.+)"/,
    text: "Others may write to a directory above the file, so they could replace the file.",
    mend: (_place, [, path = ""]) => `chmod go-w ${quote(path)}`,
  },
  {
    message: "Logfile is insecure: ... should ...",
    pattern: /Logfile is insecure: "(.+)" should/,
    text: "Others may change the log.",
    mend: ({ user }, [, path = ""]) => `chown ${user} ${quote(path)} && chmod 0640 ${quote(path)}`,
  },
  {
    message: "Failed to check ... dir ...: cannot canonicalize ...: No such file or directory",
    pattern: /Failed to check .+ dir ".+": cannot (?:canonicalize|stat) "(.+)": No such file/,
    text: "A directory that munged needs is not there.",
    mend: ({ user }, [, path = ""]) => `install -d -m 0755 -o ${user} ${quote(path)}`,
  },
  {
    message: "Socket is inaccessible: execute permissions for all required on ...",
    pattern: /execute permissions for all required on "(.+)"/,
    text: "Not every user gets through a directory above the socket.",
    mend: (_place, [, path = ""]) => `chmod a+x ${quote(path)}`,
  },
  {
    message: "Failed to lock ...: pid ... bound to socket ...",
    pattern: /Failed to lock ".+": pid (\d+) bound to socket "(.+)"/,
    text: "A munged for this socket runs already.",
    mend: (_place, [, , path = ""]) => `munged --stop --socket=${quote(path)}`,
  },
  {
    message: "Failed to validate lockfile: ... should ...",
    pattern: /Failed to validate lockfile: "(.+)" should/,
    text: "The socket's lock file is not one that this munged has made.",
    mend: (_place, [, path = ""]) => `rm ${quote(path)}`,
  },
  {
    message: "Failed to resolve origin ...: Host not found",
    pattern: /Failed to resolve origin "(.+)"/,
    text: "This host's own name has no IPv4 address.",
    mend: (_place, [, name = ""]) => `getent ahostsv4 ${quote(name)}`,
  },
  {
    message: "...: No space left on device",
    pattern: /No space left on device/,
    text: "A file system that munged writes to is full.",
    mend: () => "df -h",
  },
  {
    message: "Failed to access ...: No such file or directory (Did you start munged?)",
    pattern: /Failed to access "(.+)": No such file or directory/,
    text: "munged does not run, or listens elsewhere.",
    mend: ({ start }) => start,
  },
  {
    message: "Failed to access ...: Permission denied (Did you start munged?)",
    pattern: /Failed to access "(.+)": Permission denied/,
    text: "You may not pass a directory above the socket.",
    mend: ({ socketPath }) => `namei -l ${quote(socketPath)}`,
  },
  {
    message: "Failed to connect to ...: Connection refused",
    pattern: /Failed to connect to "(.+)": Connection refused/,
    text: "Nobody listens on the socket: the munged that made it is gone.",
    mend: ({ start }) => start,
  },
  {
    message: "Failed to receive message header: Timed-out",
    pattern: /Failed to receive message header: Timed-out/,
    text: "munged took the request and does not answer: it is stopped, or starved.",
    mend: ({ start }) => start,
  },
  {
    message: "Invalid credential",
    pattern: /Invalid credential$/,
    text: "It was made with another key than this host's, or changed on its way.",
    mend: () => "mungebox doctor OTHER-HOST",
  },
  {
    message: "Invalid credential format",
    pattern: /Invalid credential format|Failed to match armor|Truncated |No credential specified/,
    text: "That is no credential, or only part of one.",
    mend: () => "munge -n",
  },
  {
    message: "Expired credential",
    pattern: /Expired credential/,
    text: "It was decoded later than its time-to-live allows, or the clocks differ.",
    mend: setClock,
  },
  {
    message: "Rewound credential",
    pattern: /Rewound credential/,
    text: "It is from the future: the clock of the host that made it is ahead of this one's.",
    mend: setClock,
  },
  {
    message: "Replayed credential",
    pattern: /Replayed credential/,
    text: "It was decoded on this host before, which can be done once.",
    mend: () => "munge -n",
  },
  {
    message: "Unauthorized credential for client UID=... GID=...",
    pattern: /Unauthorized credential/,
    text: "It is restricted to another user or group, and not even root is exempt.",
    mend: () => "munge -n --restrict-uid=USER",
  },
  {
    message: "Unrecognized security realm",
    pattern: /Unrecognized security realm/,
    text: "This host has no key for the credential's realm, or you may not use it.",
    mend: () => "munged --check-config",
  },
];

/** What is known about a message. */
export function explain(
  text: string,
  place: Place,
): { text: string; mend: string } | undefined {
  for (const cause of CAUSES) {
    const match = cause.pattern.exec(text);
    if (match !== null) return { text: cause.text, mend: cause.mend(place, match) };
  }
  return undefined;
}
