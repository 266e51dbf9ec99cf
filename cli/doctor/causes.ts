// The messages of munged and its clients whose causes are known: one table, from which doctor explains messages
// and docs/operations.md gets its troubleshooting section.
import { advise, type Remedy, run } from "./finding.ts";
import { changeDirectory, changeFile, giveFile, type Place, quote } from "./place.ts";

/** A message and its cause. */
export interface Cause {
  /** The literal message, with ... for the parts that vary; it may be part of a line. */
  readonly message: string;
  readonly pattern: RegExp;
  /** The cause in one sentence. */
  readonly text: string;
  /** What to do; `match` is what the pattern matched. */
  remedy(place: Place, match: readonly string[]): Remedy;
}

/** A copy of another node's key makes this node a member of the realm; a new key would cut it off. */
const COPY_KEY =
  "Copy the key from another node of the realm; only the first node of a new realm creates one (mungekey)";

export const copyKey: Remedy = advise(COPY_KEY);

const NEW_CREDENTIAL = advise("Make a new credential");

export const CAUSES: readonly Cause[] = [
  {
    message: "Configuration file is insecure: ... must not be writable by group or other",
    pattern: /Configuration file is insecure: "(.+)" must not be writable/,
    text: "Other users could change munged's settings.",
    remedy: (place, [, path = ""]) =>
      changeFile(
        place,
        path,
        (file) => `chmod go-w ${file}`,
        `Move "${path}" to a directory that only root can write to`,
      ),
  },
  {
    message: "Configuration file is insecure: ... must be owned by root or UID ...",
    pattern: /Configuration file is insecure: "(.+)" must be owned/,
    text: "Its owner could change munged's settings.",
    remedy: (place, [, path = ""]) => giveFile(place, path, "root"),
  },
  {
    message: "/etc/munge/munge.conf:...: ...",
    pattern: /^(\/.+?):\d+: /,
    text: "This line of the configuration file is invalid.",
    remedy: () => advise("Correct the line"),
  },
  {
    message: "environment variable ...: Invalid value ...",
    pattern: /environment variable (\w+): /,
    text: "This environment variable has a value that its option does not accept.",
    remedy: () => advise("Unset the variable, or correct its value"),
  },
  {
    message: "Failed to find keyfile ...: No such file or directory",
    pattern: /Failed to find keyfile "(.+)": No such file/,
    text: "There is no key.",
    remedy: () => copyKey,
  },
  {
    message: "Keyfile is insecure: ... should be owned by UID ...",
    pattern: /Keyfile is insecure: "(.+)" should be owned by UID (\d+)/,
    text: "The key does not belong to the user munged runs as.",
    remedy: (place, [, path = ""]) => giveFile(place, path, place.user),
  },
  {
    message: "Keyfile is insecure: ... should not be readable or writable by ...",
    pattern: /Keyfile is insecure: "(.+)" should not be readable or writable by/,
    text: "Other users can read or change the key, so they could impersonate anyone.",
    remedy: (place, [, path = ""]) =>
      changeFile(
        place,
        path,
        (file) => `chmod 0600 ${file}`,
        `Move the key to a directory that only root and ${place.user} can write to, with mode 0600`,
      ),
  },
  {
    message: "Keyfile is insecure: ... should not be a symbolic link",
    pattern: /Keyfile is insecure: "(.+)" should not be a symbolic link/,
    text: "Anyone who can change the link could substitute another key.",
    remedy: ({ user }) =>
      advise(`Replace the link with the key itself, owned by ${user} with mode 0600`),
  },
  {
    message: "Keyfile must be at least 32 bytes",
    pattern: /Keyfile must be at least/,
    text: "The key file is too short: it was truncated, or never filled.",
    remedy: () => copyKey,
  },
  {
    message: "... is insecure: invalid ownership of ...",
    pattern: /is insecure: invalid ownership of "(.+)"/,
    text: "A directory above the file belongs to another user, who could replace the file.",
    remedy: ({ user }) => {
      const owners = user === "root" ? "root" : `root or ${user}`;
      return advise(`Move the file below directories of ${owners}, or give the directory to root`);
    },
  },
  {
    message: "... is insecure: ...-writable permissions without sticky bit set on ...",
    pattern: /is insecure: (?:group|world)-writable permissions .* on "(.+)"/,
    text: "Other users can write to a directory above the file, so they could replace the file.",
    remedy: (place, [, path = ""]) =>
      changeDirectory(
        place,
        path,
        (directory) => `chmod go-w ${directory}`,
        "Remove the other users' write permission if nobody needs it, or move the file elsewhere",
      ),
  },
  {
    message: "Logfile is insecure: ... should be owned by UID ...",
    pattern: /Logfile is insecure: "(.+)" should be owned/,
    text: "Its owner can change the log.",
    remedy: (place, [, path = ""]) => giveFile(place, path, place.user),
  },
  {
    message: "Logfile is insecure: ... should not be writable by ...",
    pattern: /Logfile is insecure: "(.+)" should not be writable/,
    text: "Other users can change the log.",
    remedy: (place, [, path = ""]) =>
      changeFile(
        place,
        path,
        (file) => `chmod go-w ${file}`,
        `Move the log to a directory that only root and ${place.user} can write to`,
      ),
  },
  {
    message: "Logfile is insecure: ... should not be a symbolic link",
    pattern: /Logfile is insecure: "(.+)" should not be a symbolic link/,
    text: "Anyone who can change the link decides where the log goes.",
    remedy: () => advise("Name the file itself with --log-file"),
  },
  {
    message: "Failed to check ... dir ...: cannot canonicalize ...: No such file or directory",
    pattern: /Failed to check .+ dir ".+": cannot (?:canonicalize|stat) "(.+)": No such file/,
    text: "A directory that munged needs does not exist.",
    remedy: (place, [, path = ""]) =>
      place.ownerOf(path) === "root"
        ? run(`install -d -m 0755 -o ${quote(place.user)} ${quote(path)}`)
        : advise(`Create the directory, for ${place.user} to write to`),
  },
  {
    message: "Socket is inaccessible: execute permissions for all required on ...",
    pattern: /execute permissions for all required on "(.+)"/,
    text: "Some users cannot pass through a directory above the socket.",
    remedy: (place, [, path = ""]) =>
      changeDirectory(
        place,
        path,
        (directory) => `chmod a+x ${directory}`,
        "Move the socket to a directory that all users may pass through",
      ),
  },
  {
    message: "Failed to lock ...: pid ... bound to socket ...",
    pattern: /Failed to lock ".+": pid (\d+) bound to socket "(.+)"/,
    text: "A munged is already running on this socket.",
    remedy: () => advise("Nothing, unless another munged should replace it"),
  },
  {
    message: "Failed to validate lockfile: ... should ...",
    pattern: /Failed to validate lockfile: "(.+)" should/,
    text: "The socket's lock file was not made by munged.",
    remedy: () => advise("Remove the file once you know what it is"),
  },
  {
    message: "Failed to resolve origin ...: Host not found",
    pattern: /Failed to resolve origin "(.+)"/,
    text: "This host's own name does not resolve to an IPv4 address.",
    remedy: () =>
      advise("Give the name an address in DNS or /etc/hosts, or name one with --origin"),
  },
  {
    message: "...: No space left on device",
    pattern: /No space left on device/,
    text: "A file system that munged writes to is full.",
    remedy: () => advise("Make room on the file system"),
  },
  {
    message: "Failed to access ...: No such file or directory (Did you start munged?)",
    pattern: /Failed to access "(.+)": No such file or directory/,
    text: "munged is not running, or listens on another socket.",
    remedy: ({ start }) => run(start),
  },
  {
    message: "Failed to access ...: Permission denied",
    pattern: /Failed to access "(.+)": Permission denied/,
    text: "You are not allowed to pass through a directory above the socket.",
    remedy: () => advise("Let all users pass through the directories above the socket"),
  },
  {
    message: "Failed to connect to ...: Connection refused",
    pattern: /Failed to connect to "(.+)": Connection refused/,
    text: "Nothing listens on the socket: the munged that created it is gone.",
    remedy: ({ start }) => run(start),
  },
  {
    message: "Failed to receive message header: Timed-out",
    pattern: /Failed to receive message header: Timed-out/,
    text: "munged received the request but does not answer: it is stopped, or gets no CPU time.",
    remedy: ({ restart }) => run(restart),
  },
  {
    message: "Invalid credential",
    pattern: /Invalid credential$/,
    text: "It was made with a different key than this host's, or altered on the way.",
    remedy: () => advise("Compare the keys of both hosts (mungebox doctor OTHER-HOST)"),
  },
  {
    message: "Invalid credential format",
    pattern: /Invalid credential format|Failed to match armor|Truncated |No credential specified/,
    text: "This is not a credential, or only part of one.",
    remedy: () => NEW_CREDENTIAL,
  },
  {
    message: "Expired credential",
    pattern: /Expired credential/,
    text: "It was decoded after its time-to-live had ended, or the clocks differ.",
    remedy: () => advise("Synchronize the clocks, or ask for a longer time-to-live (munge --ttl)"),
  },
  {
    message: "Rewound credential",
    pattern: /Rewound credential/,
    text: "It comes from the future: the clock of the host that made it is ahead of this one's.",
    remedy: () => advise("Synchronize the clocks"),
  },
  {
    message: "Replayed credential",
    pattern: /Replayed credential/,
    text:
      "It has already been decoded on this host, or on another one with the same replay store, and can be decoded only once.",
    remedy: () => NEW_CREDENTIAL,
  },
  {
    message: "Replay store is unavailable",
    pattern: /Replay store is unavailable/,
    text: "munged can't ask the store whether the credential was decoded on another host.",
    remedy: () => advise("Start the store; munged's log says what is wrong with it"),
  },
  {
    message: "Credential is older than the replay store's records",
    pattern: /older than the replay store's records/,
    text:
      "It was made before the store was started or changed its master, so another host may have decoded it.",
    remedy: () => NEW_CREDENTIAL,
  },
  {
    message: "Unauthorized client UID=... GID=... for ...",
    pattern: /Unauthorized client UID=\d+ GID=\d+ for /,
    text: "munged lets only some users encode or decode in this realm.",
    remedy: () =>
      advise(
        "Run it as one of the users that munged --status lists, or add the user (--allow-encode, --allow-decode)",
      ),
  },
  {
    message: "Unauthorized credential from origin ...",
    pattern: /Unauthorized credential from origin/,
    text: "It was made on a host outside the networks that munged accepts credentials from.",
    remedy: () => advise("Add that host's network, if it belongs to the realm (--accept-origin)"),
  },
  {
    message: "Invalid cipher type ...",
    pattern: /Invalid (?:cipher|MAC|compression) type \d+/,
    text: "munged's policy does not allow this cipher, MAC or compression.",
    remedy: () =>
      advise(
        "Use one that munged --status lists, or allow it (--allow-ciphers, --allow-macs, --allow-zips)",
      ),
  },
  {
    message: "Contradictory policy of ...: ...",
    pattern: /Contradictory policy of/,
    text: "munged's options for algorithms leave no usable combination.",
    remedy: () =>
      advise("Correct the options: --security, --allow-ciphers, --allow-macs, --allow-zips"),
  },
  {
    message: "Unauthorized credential for client UID=... GID=...",
    pattern: /Unauthorized credential/,
    text: "It is restricted to another user or group; not even root is exempt.",
    remedy: () =>
      advise("Decode it as that user, or make one for this user (munge --restrict-uid)"),
  },
  {
    message: "Unrecognized security realm",
    pattern: /Unrecognized security realm/,
    text:
      "This host has no key for the credential's realm, or you are not allowed to use that realm.",
    remedy: () => advise("Compare the realms that munged serves (munged --check-config)"),
  },
];

/** The refusals of a munged whose policy does not allow a request. */
const POLICY_REFUSAL =
  /^(?:Unauthorized client UID=\d+ GID=\d+ for |Unauthorized credential from origin |Invalid (?:cipher|MAC|compression) type \d+$)/;

/** Whether munged refused a request because its policy does not allow it. */
export function isByPolicy(text: string): boolean {
  return POLICY_REFUSAL.test(text);
}

/** The cause of a message and what to do about it, if known. */
export function explain(
  text: string,
  place: Place,
): { text: string; remedy: Remedy } | undefined {
  for (const cause of CAUSES) {
    const match = cause.pattern.exec(text);
    if (match !== null) return { text: cause.text, remedy: cause.remedy(place, match) };
  }
  return undefined;
}
