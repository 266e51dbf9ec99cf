// munged's settings and their defaults. cli/munged/options.ts parses them.
import { dirname, isAbsolute, join } from "node:path";
import { MAX_PAYLOAD_LENGTH } from "../../lib/credential/fields.ts";
import { CONFIG_DIRECTORY, DEFAULT_SOCKET, RUN_DIRECTORY } from "../../lib/paths.ts";
import type { LogFormat } from "../process/log_format.ts";

/** All settings of munged. Paths are absolute. */
export interface DaemonConfig {
  /** Base name of argv[0], the prefix of messages on standard error. */
  program: string;
  /** The arguments after it, for starting ourselves again in the background. */
  commandLine: readonly string[];
  socketPath: string;
  keyFile: string;
  logFile: string;
  pidFile: string;
  seedFile: string;
  /** Directory of the replay cache; null for a cache in memory only. */
  replayDir: string | null;
  /** Milliseconds within which a decode is written to disk; 0 for before its answer. */
  replaySync: number;
  /** The store in which a realm's hosts share which credentials were decoded, or null. */
  replayStore: StoreLocation | null;
  /** PEM file of the authorities that may sign the store's certificate; null for the system's. */
  replayStoreCaFile: string | null;
  /** File whose first line is the store's password, or null. */
  replayStorePasswordFile: string | null;
  replayStorePolicy: StorePolicy;
  /** Replicas that must have an entry before its decode is answered. */
  replayStoreReplicas: number;
  /** Milliseconds to wait for the store's answer; after that, a decode is decided without it. */
  replayStoreTimeout: number;
  /** Where replays in each realm are refused. */
  replayScopes: readonly RealmScope[];
  /** Longest time-to-live granted, in seconds, 1..3600. */
  maxTtl: number;
  /** Longest payload of a credential, in bytes, from MAX_PAYLOAD_LENGTH to LARGEST_PAYLOAD_LENGTH. */
  maxPayload: number;
  /** Time-to-live, in seconds, of a credential for which the client requests none. */
  defaultTtl: number;
  /** Seconds by which clocks may differ, 0..3600; null for the reference's rule. */
  timestampDriftMax: number | null;
  /** Seconds for which a retired key still decodes; null for as long as a credential can be valid. */
  keyRotationTime: number | null;
  /** Directory of the realms' key files, NAME.key; may be missing. */
  realmDir: string;
  /** Realms whose key files are named explicitly. */
  realms: readonly NamedRealm[];
  /** Who may use which realm; one without an entry is open to everyone. */
  realmAllow: readonly RealmLimit[];
  /** Which algorithms may be used; policy/ combines these rules and those below. */
  security: readonly SecurityRule[];
  algorithms: readonly AlgorithmRule[];
  /** Who may encode, and who may decode. */
  clients: readonly ClientRule[];
  /** Where credentials may come from. */
  origins: readonly OriginRule[];
  /** Whether the kernel is in FIPS mode, which makes the modern algorithms the default. */
  fips: boolean;
  /** Worker threads, at least 1. */
  numThreads: number;
  /** Interface name, IPv4 address or host name; null for the host's own name. */
  origin: string | null;
  /** Length of the socket's queue of pending connections; 0 for the default, -1 for the system's maximum. */
  listenBacklog: number;
  /** Whether to skip updates of the group map while the mtime of /etc/group is unchanged. */
  groupCheckMtime: boolean;
  /** Seconds between updates of the group map; 0 for one at startup only, negative for no map. */
  groupUpdateTime: number;
  /** GID that may write to the directories above our files, or null. */
  trustedGroup: number | null;
  /** No recurring timers and no replay cache. */
  benchmark: boolean;
  /** Whether keys may be secrets mounted into a container; set only by `mungebox container`. */
  mountedSecrets: boolean;
  /** Turns errors about files and the origin into warnings, and takes the socket over from another daemon. */
  force: boolean;
  foreground: boolean;
  /** Locks all pages into memory. */
  mlockall: boolean;
  /** Whether to serve clients whose UID or GID is not mapped into munged's user namespace. */
  allowOverflowId: boolean;
  /** Replaces the daemon bound to this socket, if there is one, without refusing any client. */
  replace: boolean;
  /** Stops the daemon bound to this socket instead of starting one. */
  stop: boolean;
  syslog: boolean;
  /** The reference's lines, or one JSON object per line. */
  logFormat: LogFormat;
  /** File for the node exporter's textfile collector, or null. */
  metricsFile: string | null;
  verbose: boolean;
}

/** A realm and the path of its key. */
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

/** Where replays are refused: on the host of the first decode, or in the whole realm. */
export const REPLAY_SCOPES = ["host", "realm"] as const;
/** Where replays are refused. */
export type ReplayScope = typeof REPLAY_SCOPES[number];

/** The scope of a realm, or of all realms if it is null. */
export interface RealmScope {
  readonly realm: string | null;
  readonly scope: ReplayScope;
}

/** If the store does not answer, decodes are refused, or the host's own replay cache decides alone. */
export const STORE_POLICIES = ["refuse", "host"] as const;
/** What happens to decodes without the store's answer. */
export type StorePolicy = typeof STORE_POLICIES[number];

/** How a store's servers are organized. */
export type StoreKind = "single" | "sentinel" | "cluster";

/** A server's address. */
export interface StoreAddress {
  readonly host: string;
  readonly port: number;
}

/** Where a replay store is. */
export interface StoreLocation {
  readonly kind: StoreKind;
  readonly tls: boolean;
  /** ACL user; "" for the default one. */
  readonly user: string;
  /** The server; the sentinels; or some of the cluster. */
  readonly servers: readonly StoreAddress[];
  /** The name by which the sentinels know the master; "" without them. */
  readonly master: string;
}

/** What a request is for. */
export type Direction = "encode" | "decode";

/** Part of the policy: for one realm or, if null, for every realm without a rule of this kind. */
interface Rule {
  readonly realm: string | null;
}

/** Every algorithm of the format, or only those without known weaknesses. */
export type SecurityLevel = "compatible" | "modern";

/** A set of algorithms by its name. */
export interface SecurityRule extends Rule {
  readonly level: SecurityLevel;
}

/** The only ciphers, MACs or compressions that may be used; the last rule for a realm and direction applies. */
export interface AlgorithmRule extends Rule {
  readonly kind: "cipher" | "mac" | "zip";
  readonly directions: readonly Direction[];
  /** Numbers of the types. */
  readonly numbers: readonly number[];
}

/** Users and groups that may use a realm's key; rules for the same realm and direction add up. */
export interface ClientRule extends Rule {
  readonly direction: Direction;
  /** Null for everyone. */
  readonly who: { readonly uids: readonly number[]; readonly gids: readonly number[] } | null;
}

/** Networks that credentials may come from; rules for the same realm add up. */
export interface OriginRule extends Rule {
  readonly networks: readonly Network[];
}

/** An IPv4 network, as unsigned 32-bit numbers. */
export interface Network {
  readonly address: number;
  readonly mask: number;
}

/** The backlog that `listenBacklog` 0 means. */
export const DEFAULT_LISTEN_BACKLOG = 256;

/** The defaults; `replayDir` depends on the seed file unless it is set. */
export const DEFAULTS: Readonly<DaemonConfig> = {
  program: "munged",
  commandLine: [],
  socketPath: DEFAULT_SOCKET,
  keyFile: `${CONFIG_DIRECTORY}/munge.key`,
  logFile: "/var/log/munge/munged.log",
  pidFile: `${RUN_DIRECTORY}/munged.pid`,
  seedFile: "/var/lib/munge/munged.seed",
  replayDir: "/var/lib/munge/munged.replay",
  replaySync: 1000,
  replayStore: null,
  replayStoreCaFile: null,
  replayStorePasswordFile: null,
  replayStorePolicy: "refuse",
  replayStoreReplicas: 0,
  replayStoreTimeout: 1000,
  replayScopes: [],
  maxPayload: MAX_PAYLOAD_LENGTH,
  maxTtl: 3600,
  defaultTtl: 300,
  timestampDriftMax: null,
  keyRotationTime: null,
  realmDir: `${CONFIG_DIRECTORY}/realms`,
  realms: [],
  realmAllow: [],
  security: [],
  algorithms: [],
  clients: [],
  origins: [],
  fips: false,
  numThreads: 2,
  origin: null,
  listenBacklog: DEFAULT_LISTEN_BACKLOG,
  groupCheckMtime: true,
  groupUpdateTime: 3600,
  trustedGroup: null,
  benchmark: false,
  mountedSecrets: false,
  force: false,
  foreground: false,
  mlockall: false,
  allowOverflowId: false,
  replace: false,
  stop: false,
  syslog: false,
  logFormat: "text",
  metricsFile: null,
  verbose: false,
};

/** Seconds for which a retired key still decodes: by default, until the last credential it made has expired. */
export function keyRotationTime(
  config: Pick<DaemonConfig, "keyRotationTime" | "maxTtl" | "timestampDriftMax">,
): number {
  return config.keyRotationTime ?? config.maxTtl + (config.timestampDriftMax ?? 0);
}

/**
 * `path` made absolute, because the daemon's working directory is /. It is not normalized, because messages must show
 * it as the reference does: `./sock` in /tmp is `/tmp/./sock`.
 *
 * @param start the directory the daemon was started in.
 */
export function resolvePath(path: string, start: string = process.cwd()): string {
  return isAbsolute(path) ? path : `${start === "/" ? "" : start}/${path}`;
}

/**
 * Default directory of the realms' keys: beside the default realm's key, so that a munged with its own key does not
 * serve the system's realms.
 */
export function defaultRealmDir(keyFile: string): string {
  return join(dirname(keyFile), "realms");
}

/** Default directory of the replay cache: beside the seed file, whose directory has to be just as private. */
export function defaultReplayDir(seedFile: string): string {
  return join(dirname(seedFile), "munged.replay");
}
