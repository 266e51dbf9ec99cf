// What munged is told on its command line, with the defaults; how the words are read is cli/munged/options.ts's.
import { dirname, isAbsolute, join } from "node:path";
import { CONFIG_DIRECTORY, DEFAULT_SOCKET, RUN_DIRECTORY } from "../../lib/paths.ts";
import type { LogFormat } from "../process/log_format.ts";

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
  /** Time-to-live, in seconds, of a credential whose maker asks for none in particular. */
  defaultTtl: number;
  /** Seconds by which clocks may differ, 0..3600; null for the reference's rule. */
  timestampDriftMax: number | null;
  /** Seconds that a retired key still decodes; null for as long as a credential can be valid. */
  keyRotationTime: number | null;
  /** Directory of realms' key files, NAME.key; it may be missing. */
  realmDir: string;
  /** Realms whose key file was named. */
  realms: readonly NamedRealm[];
  /** Who may use which realm; one without an entry is everybody's. */
  realmAllow: readonly RealmLimit[];
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
  /** The reference's lines, or a JSON object a line. */
  logFormat: LogFormat;
  /** File for the node exporter's textfile collector, or null. */
  metricsFile: string | null;
  verbose: boolean;
}

/** A realm and where its key is. */
export interface NamedRealm {
  readonly name: string;
  readonly keyFile: string;
}

/** Users and groups that may use a realm. */
export interface RealmLimit {
  readonly realm: string;
  readonly uids: readonly number[];
  readonly gids: readonly number[];
}

/** The value of `listenBacklog` 0. */
export const DEFAULT_LISTEN_BACKLOG = 256;

/** The defaults; `replayDir` follows the seed file unless a word says otherwise. */
export const DEFAULTS: Readonly<DaemonConfig> = {
  program: "munged",
  commandLine: [],
  socketPath: DEFAULT_SOCKET,
  keyFile: `${CONFIG_DIRECTORY}/munge.key`,
  logFile: "/var/log/munge/munged.log",
  pidFile: `${RUN_DIRECTORY}/munged.pid`,
  seedFile: "/var/lib/munge/munged.seed",
  replayDir: "/var/lib/munge/munged.replay",
  maxTtl: 3600,
  defaultTtl: 300,
  timestampDriftMax: null,
  keyRotationTime: null,
  realmDir: `${CONFIG_DIRECTORY}/realms`,
  realms: [],
  realmAllow: [],
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
  logFormat: "text",
  metricsFile: null,
  verbose: false,
};

/** Seconds that a retired key still decodes: unless told, until the last credential it made is over. */
export function keyRotationTime(
  config: Pick<DaemonConfig, "keyRotationTime" | "maxTtl" | "timestampDriftMax">,
): number {
  return config.keyRotationTime ?? config.maxTtl + (config.timestampDriftMax ?? 0);
}

/**
 * `path` as the daemon, whose directory is /, has to name it. Joined without tidying up, as messages
 * show the path and must show it as the reference does: `./sock` in /tmp is `/tmp/./sock`.
 *
 * @param start the directory the daemon was started in.
 */
export function resolvePath(path: string, start: string = process.cwd()): string {
  return isAbsolute(path) ? path : `${start === "/" ? "" : start}/${path}`;
}

/**
 * Where the realms' keys are unless told: beside the default realm's key, so that a key of one's own keeps
 * the realms of the system out.
 */
export function defaultRealmDir(keyFile: string): string {
  return join(dirname(keyFile), "realms");
}

/** Where the replay cache lives unless told: beside the seed file, which is as private as it has to be. */
export function defaultReplayDir(seedFile: string): string {
  return join(dirname(seedFile), "munged.replay");
}
