// What munged is told on its command line, with the defaults; how the words are read is cli/munged.ts's.
import { dirname, isAbsolute, join } from "node:path";

/** Everything munged can be told. Paths are absolute. */
export interface DaemonConfig {
  /** Base name of argv[0], the prefix of messages on standard error. */
  program: string;
  /** The words after it, for starting ourselves anew in the background. */
  commandLine: readonly string[];
  socketPath: string;
  keyFile: string;
  logFile: string;
  pidFile: string;
  seedFile: string;
  /** Directory of the replay cache; null for a cache in memory only. */
  replayDir: string | null;
  /** Longest time-to-live granted, in seconds, 1..3600. */
  maxTtl: number;
  /** Worker threads, at least 1. */
  numThreads: number;
  /** Interface name, IPv4 address or host name; null for the host's own name. */
  origin: string | null;
  /** Pending connections the socket queues; 0 for the default, -1 for the system's most. */
  listenBacklog: number;
  /** Whether an update of the group map is skipped while /etc/group has its old mtime. */
  groupCheckMtime: boolean;
  /** Seconds between updates of the group map; 0 for one at the start only, negative for no map. */
  groupUpdateTime: number;
  /** GID that may write to the directories above our files, or null. */
  trustedGroup: number | null;
  /** No recurring timers and no replay cache. */
  benchmark: boolean;
  /** Turns errors about files and the origin into warnings, and takes the socket from another daemon. */
  force: boolean;
  foreground: boolean;
  /** Locks all pages into memory. */
  mlockall: boolean;
  /** Stops the daemon of this socket instead of being one. */
  stop: boolean;
  syslog: boolean;
  verbose: boolean;
}

/** The value of `listenBacklog` 0. */
export const DEFAULT_LISTEN_BACKLOG = 256;

/** The defaults; `replayDir` follows the seed file unless a word says otherwise. */
export const DEFAULTS: Readonly<DaemonConfig> = {
  program: "munged",
  commandLine: [],
  socketPath: "/run/munge/munge.socket.2",
  keyFile: "/etc/munge/munge.key",
  logFile: "/var/log/munge/munged.log",
  pidFile: "/run/munge/munged.pid",
  seedFile: "/var/lib/munge/munged.seed",
  replayDir: "/var/lib/munge/munged.replay",
  maxTtl: 3600,
  numThreads: 2,
  origin: null,
  listenBacklog: DEFAULT_LISTEN_BACKLOG,
  groupCheckMtime: true,
  groupUpdateTime: 3600,
  trustedGroup: null,
  benchmark: false,
  force: false,
  foreground: false,
  mlockall: false,
  stop: false,
  syslog: false,
  verbose: false,
};

/**
 * `path` as the daemon, whose directory is /, has to name it. Joined without tidying up, as messages
 * show the path and must show it as the reference does: `./sock` in /tmp is `/tmp/./sock`.
 *
 * @param start the directory the daemon was started in.
 */
export function resolvePath(path: string, start: string = process.cwd()): string {
  return isAbsolute(path) ? path : `${start === "/" ? "" : start}/${path}`;
}

/** Where the replay cache lives unless told: beside the seed file, which is as private as it has to be. */
export function defaultReplayDir(seedFile: string): string {
  return join(dirname(seedFile), "munged.replay");
}
