// Why cases differ, by name: several cases often share a reason.

export const SAME_FILE =
  "Reading and writing the same file is refused, by whatever name: the reference destroys what it reads";
export const WHOLE_OUTPUT =
  "An output is written whole or not at all; the reference leaves empty or truncated files behind";
export const WRAPPED_NUMBERS =
  "Numbers of 2^32 and more are refused; the reference wraps them around to root";
export const RESTART = "A credential decoded before a restart or a crash is a replay after it";
export const TRUE_LENGTH =
  "Messages about short answers state the true length, and absurd lengths are refused at once";
export const CLEAN_FAILURE = "A start that fails removes its socket and its lock file";
export const LINKED_LOCK =
  "A lock file must be a regular file; the reference follows links, and waits for ever at a FIFO";
export const NO_LOCK =
  "Without a lock there is no start, even with --force: two daemons could have one socket";
export const CLOSED_DESCRIPTORS =
  "Descriptors that were open when the daemon was started are closed in it";
export const REFUSED_EARLY =
  "A credential that is too long for a message is refused before the daemon is bothered with it";
export const NAMED_OPTION =
  "A long option with an unwanted argument is named; the reference prints a control character";
export const HANGUP =
  "SIGHUP reads the groups anew even if /etc/group did not change: a directory service might have";
export const LONGEST_DURATION =
  "remunge --duration=-1 is the longest duration, as --help says; the reference refuses it";
export const NEGATIVE_COUNT =
  "A negative number of credentials is refused, except -1, which is as good as no limit";
export const KEY_MODE = "A new key has mode 0600 whatever the umask";
export const FIFO_SEED =
  "A seed file that is no regular file is ignored; the reference waits for ever at a FIFO";

export const LICENSE = "The licence notice is our own; the licence is the same";
export const NOT_UTF8 = "An argument that is not UTF-8 is refused; the reference takes any bytes";
export const UMASK = "The daemon keeps its umask, which no file it makes depends on";
export const NEW_FILES =
  "PID and seed files are always new files, so another text is logged when there is a directory";
export const REPLAY_DIRECTORY =
  "The replay cache is on disk, in use by one daemon at a time; another one keeps its own in memory, and says so";
export const REPLAY_SECURITY =
  "The replay cache is not kept where others could write, not even with --force, and a warning says so";
export const LOGGED_REFUSALS =
  "Expired, rewound and replayed credentials are in the log at Info, where guides tell administrators to look for them; 0.5.18 has them at Debug only, since some clients ignore these errors by the thousand: ours limits the lines of each cause";
