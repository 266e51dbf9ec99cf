// Why cases differ, by name, because several cases often share a reason.

export const SAME_FILE =
  "Using the same file for input and output is refused, under whatever name; the reference destroys its input";
export const WHOLE_OUTPUT =
  "Output is written completely or not at all; the reference leaves empty or truncated files behind";
export const WRAPPED_NUMBERS =
  "Numbers of 2^32 and above are refused; the reference wraps them around, so that 2^32 becomes root";
export const RESTART =
  "A credential decoded before a restart or crash is refused as a replay afterwards";
export const TRUE_LENGTH =
  "Messages about short responses state the actual length, and absurd lengths are refused at once";
export const CLEAN_FAILURE = "If the start fails, munged removes its socket and lock file";
export const LINKED_LOCK =
  "The lock file must be a regular file; the reference follows links, and blocks forever on a FIFO";
export const NO_LOCK =
  "munged does not start without the lock, even with --force; otherwise two daemons could share a socket";
export const CLOSED_DESCRIPTORS = "The daemon closes descriptors inherited from its parent";
export const REFUSED_EARLY =
  "A credential too long for a message is refused without asking the daemon";
export const NAMED_OPTION =
  "A long option that takes no argument but gets one is named; the reference prints a control character";
export const SEED_FIRST =
  "The seed is written while munged still serves, before the socket goes, so that a restart keeps clients waiting for less";
export const HANGUP =
  "SIGHUP makes munged read the groups again even if /etc/group is unchanged, because a directory service may have changed";
export const LONGEST_DURATION =
  "remunge --duration=-1 means the maximum, as --help says; the reference refuses it";
export const NEGATIVE_COUNT =
  "A negative number of credentials is refused, except -1, which means no limit";
export const KEY_MODE = "A new key has mode 0600 regardless of the umask";
export const FIFO_SEED =
  "A seed file that is not a regular file is ignored; the reference blocks forever on a FIFO";

export const LICENSE = "The licence notice is our own; the licence is the same";
export const NOT_UTF8 =
  "Except for payloads and the names of users and groups, an argument that is not UTF-8 is refused; the reference accepts any bytes";
export const UMASK = "The daemon keeps its umask, which affects none of the files it makes";
export const NEW_FILES =
  "PID and seed files are always created as new files, so the log message differs if a directory is in their place";
export const REPLAY_DIRECTORY =
  "The replay cache is on disk and used by one daemon at a time; a second daemon keeps its own in memory, with a warning";
export const REPLAY_SECURITY =
  "The replay cache is not kept where other users could write, even with --force, and a warning says so";
export const LOGGED_REFUSALS =
  "Expired, rewound and replayed credentials are logged at Info, where guides tell administrators to look for them. MUNGE 0.5.18 logs them at Debug only, because some clients cause thousands of these errors and ignore them; ours limits the lines per cause";
