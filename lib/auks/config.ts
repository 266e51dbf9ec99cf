// auks.conf: what its blocks mean to the client programs and to auksd. Tables of keys drive parsing, defaults and checks.
// Nothing here accesses the files named in it.
import { AuksError } from "./errors.ts";
import { requireBlock, Values } from "./config_values.ts";
import type { Block } from "./grammar.ts";
import { type OwnConfig, readOwnConfig } from "./own_config.ts";
import { readSlashRealm } from "./principal.ts";

/** The address and principal of an auksd. */
export interface Server {
  /** Compared with the host's name to determine the role of an auksd. */
  readonly host: string;
  /** Address to bind and connect to; empty for any. */
  readonly address: string;
  /** A number or the name of a service. */
  readonly port: string;
  /** Its principal; empty if none is configured. */
  readonly principal: string;
}

/** Settings shared by clients and daemon. */
export interface CommonConfig {
  readonly primary: Server;
  /** Undefined if none of its keys is given; the original then uses localhost:12345. */
  readonly secondary: Server | undefined;
  /** Realm for which clients also add a ticket; empty for none. */
  readonly crossRealm: string;
  /** Whether messages omit addresses. */
  readonly nat: boolean;
  /** Rounds over primary and secondary. */
  readonly retries: number;
  /** Seconds for a connection attempt; 0 for the system's limit. */
  readonly timeout: number;
  /** Seconds between rounds. */
  readonly delay: number;
  /** Our own settings. */
  readonly own: OwnConfig;
  /** Warnings about the file for the administrator, with lines. */
  readonly warnings: readonly string[];
}

/** A program's log file and levels. */
export interface LogConfig {
  /** Undefined for none. */
  readonly logFile: string | undefined;
  readonly logLevel: number;
  /** Undefined for none. */
  readonly debugFile: string | undefined;
  readonly debugLevel: number;
}

/** auks.conf for the client programs. */
export interface ClientConfig extends CommonConfig {
  readonly api: LogConfig & {
    readonly useSyslog: boolean;
    /** Program to run when a ticket has arrived; undefined for none. */
    readonly helperScript: string | undefined;
  };
  readonly renewer: LogConfig & {
    /** Seconds between rounds. */
    readonly delay: number;
    /** Tickets are renewed when they have no more than this many seconds left. */
    readonly minLifeTime: number;
  };
}

/** auks.conf for auksd. */
export interface DaemonConfig extends CommonConfig {
  /** What `auksd --check-config` reports about valid settings that have no effect. */
  readonly notes: readonly string[];
  readonly auksd: LogConfig & {
    readonly primaryKeytab: string;
    readonly secondaryKeytab: string;
    readonly cacheDir: string;
    readonly aclFile: string;
    /** The listen backlog. */
    readonly queueSize: number;
    /** Credentials for which the original allocates memory in advance; only logged. */
    readonly repoSize: number;
    /** Number of the original's threads; only logged. */
    readonly workers: number;
    /** Seconds between two runs of the cleaner. */
    readonly cleanDelay: number;
    readonly replayCache: boolean;
  };
}

/** What the caller knows beyond the file. */
export interface ConfigContext {
  /** Name of the file, for errors and warnings. */
  readonly file: string;
  /** Path of auks.acl without ACLFile. */
  readonly aclFile?: string;
  /** Realms of krb5.conf, for principals in the notation of the HOWTO. */
  readonly knownRealms?: readonly string[];
}

/** Blocks read by some AUKS program, by name prefix, and our own. */
const KNOWN_BLOCKS = /^(common|api|auksd|ren|mungebox$)/;
const DEFAULT_PORT = "12345";
const DEFAULT_ACL_FILE = "/etc/auks/auks.acl";

function server(values: Values, which: "Primary" | "Secondary", context: Context): Server {
  const host = values.text(`${which}Host`, "localhost");
  return {
    host,
    address: values.text(`${which}Address`, host),
    port: values.text(`${which}Port`, DEFAULT_PORT),
    principal: principal(values, `${which}Principal`, context),
  };
}

function principal(values: Values, key: string, { file, knownRealms, warnings }: Context): string {
  const name = values.text(key, "");
  const read = readSlashRealm(name, knownRealms);
  if (read === undefined) return name;
  warnings.push(`${file} : line ${values.find(key)?.line}: ${key} ${read.warning}`);
  return read.name;
}

interface Context extends Required<ConfigContext> {
  readonly warnings: string[];
}

function complete({ file, aclFile, knownRealms }: ConfigContext): Context {
  return {
    file,
    aclFile: aclFile ?? DEFAULT_ACL_FILE,
    knownRealms: knownRealms ?? [],
    warnings: [],
  };
}

function common(block: Block, blocks: readonly Block[], context: Context): CommonConfig {
  const { file, warnings } = context;
  const values = new Values(block, file, warnings);
  const hasSecondary = ["Host", "Address", "Port", "Principal"]
    .some((key) => values.find(`Secondary${key}`) !== undefined);
  const config = {
    primary: server(values, "Primary", context),
    secondary: hasSecondary ? server(values, "Secondary", context) : undefined,
    crossRealm: values.text("CrossRealm", ""),
    nat: values.yes("NAT", false),
    retries: values.number("Retries", 3),
    timeout: values.number("Timeout", 10),
    delay: values.number("Delay", 10),
    own: readOwnConfig(blocks, context),
    warnings,
  };
  values.warnOfUnknown();
  for (const { name, line } of blocks) {
    if (!KNOWN_BLOCKS.test(name)) {
      warnings.push(`${file} : line ${line}: block "${name}" is not known, and is ignored`);
    }
  }
  return config;
}

function log(values: Values, file: string | undefined, level: number): LogConfig {
  return {
    logFile: values.text("LogFile") ?? file,
    logLevel: values.number("LogLevel", level),
    debugFile: values.text("DebugFile") ?? file,
    debugLevel: values.number("DebugLevel", 0),
  };
}

/**
 * auks.conf for `auks`, `auksdrenewer` and the SPANK plugin: one block `common`, one `api`, and the last block `renewer`.
 * As in the original, longer names that begin with these also count.
 *
 * @param blocks from parseBlocks().
 * @param context what the caller knows beyond the file.
 * @returns all values, with defaults for missing ones. Log files have no default; the original's is in /tmp.
 * @throws {AuksError} CONFIG_INCOMPLETE if a block is missing or duplicate; CONFIG_PARSE for mistakes in the block
 * `mungebox`.
 *
 * @example
 * ```ts
 * import { clientConfig } from "./lib/auks/config.ts";
 * import { parseBlocks } from "./lib/auks/grammar.ts";
 *
 * const file = "auks.conf";
 * const text = new TextEncoder().encode("common { PrimaryHost = mngt ; } api { }");
 * console.log(clientConfig(parseBlocks(text, file), { file }).primary.port); // "12345"
 * ```
 */
export function clientConfig(blocks: readonly Block[], context: ConfigContext): ClientConfig {
  const whole = complete(context);
  const { file, warnings } = whole;
  const named = (beginning: string) => blocks.filter(({ name }) => name.startsWith(beginning));
  const shared = common(requireBlock(named("common"), "common", file), blocks, whole);
  const api = new Values(requireBlock(named("api"), "api", file), file, warnings);
  const renewer = new Values(named("ren").at(-1), file, warnings);
  const config = {
    ...shared,
    api: {
      ...log(api, undefined, 0),
      useSyslog: api.number("UseSyslog", 0) !== 0,
      helperScript: api.text("HelperScript"),
    },
    renewer: {
      ...log(renewer, "/var/log/auksdrenewer.log", 1),
      delay: renewer.number("Delay", 60),
      minLifeTime: renewer.number("MinLifeTime", 300),
    },
  };
  api.warnOfUnknown();
  renewer.warnOfUnknown();
  return config;
}

/**
 * auks.conf for auksd: one block `common` and one whose name begins with `auksd`.
 *
 * @param blocks from parseBlocks().
 * @param context what the caller knows beyond the file.
 * @returns all values, with defaults for missing ones.
 * @throws {AuksError} as {@linkcode clientConfig}.
 *
 * @example
 * ```ts
 * import { daemonConfig } from "./lib/auks/config.ts";
 * import { parseBlocks } from "./lib/auks/grammar.ts";
 *
 * const file = "auks.conf";
 * const text = new TextEncoder().encode("common { } auksd { CacheDir = /var/lib/auks ; }");
 * console.log(daemonConfig(parseBlocks(text, file), { file }).auksd.cacheDir); // "/var/lib/auks"
 * ```
 */
export function daemonConfig(blocks: readonly Block[], context: ConfigContext): DaemonConfig {
  const whole = complete(context);
  const { file, warnings } = whole;
  const isCommon = ({ name }: Block) => name === "common";
  const isAuksd = ({ name }: Block) => name.startsWith("auksd");
  const shared = common(requireBlock(blocks.filter(isCommon), "common", file), blocks, whole);
  const values = new Values(requireBlock(blocks.filter(isAuksd), "auksd", file), file, warnings);
  const config = {
    ...shared,
    notes: ["Workers", "RepoSize"].flatMap((key) => {
      const setting = values.find(key);
      return setting === undefined ? [] : [
        `${file} : line ${setting.line}: ${setting.key} has no effect: auksd needs no such limit`,
      ];
    }),
    auksd: {
      ...log(values, "/var/log/auksd.log", 1),
      primaryKeytab: values.text("PrimaryKeytab", "/etc/auks/auks.keytab"),
      secondaryKeytab: values.text("SecondaryKeytab", "/etc/auks/auks.keytab"),
      cacheDir: values.text("CacheDir", "/var/cache/auks"),
      aclFile: values.text("ACLFile", whole.aclFile),
      queueSize: values.number("QueueSize", 50),
      repoSize: values.number("RepoSize", 500),
      workers: values.number("Workers", 10),
      cleanDelay: values.number("CleanDelay", 300),
      replayCache: values.yes("ReplayCache", true),
    },
  };
  values.warnOfUnknown();
  return config;
}

/** The role of auksd on a host. */
export type DaemonRole = "primary" | "secondary" | "local primary";

/**
 * The role of auksd on a host.
 *
 * @param config the hosts.
 * @param hostname from gethostname(); case and domain matter.
 * @returns the role; `"local primary"` on any host if one of the hosts is "localhost", as an unconfigured secondary is.
 * @throws {AuksError} AUKSD_NOT_A_SERVER.
 */
export function daemonRole(config: CommonConfig, hostname: string): DaemonRole {
  const primary = config.primary.host;
  const secondary = config.secondary?.host ?? "localhost";
  if (hostname === primary) return "primary";
  if (hostname === secondary) return "secondary";
  if (primary === "localhost" || secondary === "localhost") return "local primary";
  throw new AuksError(
    "AUKSD_NOT_A_SERVER",
    `this host is ${hostname}, PrimaryHost ${primary}, SecondaryHost ${secondary}`,
  );
}
