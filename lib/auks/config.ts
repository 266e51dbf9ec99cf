// auks.conf: what its blocks mean to the client programs and to auksd. Tables of keys drive reading, defaults and
// checks; the files it names are not looked at here.
import { AuksError } from "./errors.ts";
import { only, Values } from "./config_values.ts";
import type { Block } from "./grammar.ts";
import { type OwnConfig, readOwnConfig } from "./own_config.ts";
import { readSlashRealm } from "./principal.ts";

/** Where an auksd is, and who it is. */
export interface Server {
  /** Compared with the host's name to find the role of an auksd. */
  readonly host: string;
  /** Address to bind and to connect to; empty for any. */
  readonly address: string;
  /** A number or the name of a service. */
  readonly port: string;
  /** Its principal; empty if none is configured. */
  readonly principal: string;
}

/** What clients and daemon share. */
export interface CommonConfig {
  readonly primary: Server;
  /** Undefined if no key of it is given; the original then takes localhost:12345. */
  readonly secondary: Server | undefined;
  /** Realm of which clients add a ticket as well; empty for none. */
  readonly crossRealm: string;
  /** Whether addresses are kept out of the messages. */
  readonly nat: boolean;
  /** Rounds over primary and secondary. */
  readonly retries: number;
  /** Seconds of a connection attempt; 0 for the system's. */
  readonly timeout: number;
  /** Seconds between rounds. */
  readonly delay: number;
  /** Our own settings. */
  readonly own: OwnConfig;
  /** What to tell the administrator about the file, each with its line. */
  readonly warnings: readonly string[];
}

/** Where a program logs, and how much. */
export interface LogConfig {
  /** Undefined for none. */
  readonly logFile: string | undefined;
  readonly logLevel: number;
  /** Undefined for none. */
  readonly debugFile: string | undefined;
  readonly debugLevel: number;
}

/** auks.conf as the client programs see it. */
export interface ClientConfig extends CommonConfig {
  readonly api: LogConfig & {
    readonly useSyslog: boolean;
    /** Program to run when a ticket has come; undefined for none. */
    readonly helperScript: string | undefined;
  };
  readonly renewer: LogConfig & {
    /** Seconds between rounds. */
    readonly delay: number;
    /** Seconds before the end of a ticket from which on it is renewed. */
    readonly minLifeTime: number;
  };
}

/** auks.conf as auksd sees it. */
export interface DaemonConfig extends CommonConfig {
  readonly auksd: LogConfig & {
    readonly primaryKeytab: string;
    readonly secondaryKeytab: string;
    readonly cacheDir: string;
    readonly aclFile: string;
    /** Connections that may wait; the backlog. */
    readonly queueSize: number;
    /** Credentials that the original allocates ahead. */
    readonly repoSize: number;
    /** Threads of the original. */
    readonly workers: number;
    /** Seconds between two turns of the cleaner. */
    readonly cleanDelay: number;
    readonly replayCache: boolean;
  };
}

/** What the caller knows and the file does not say. */
export interface ConfigContext {
  /** Name of the file, for errors and warnings. */
  readonly file: string;
  /** Where auks.acl is if ACLFile does not say. */
  readonly aclFile?: string;
  /** Realms of krb5.conf, for principals in the notation of the HOWTO. */
  readonly knownRealms?: readonly string[];
}

/** Blocks that some program of AUKS reads, by the beginning of their names, and ours. */
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
 * auks.conf for `auks`, `auksdrenewer` and the SPANK plugin: one block `common` and one `api`, and the last block
 * `renewer`. As in the original, longer names with these beginnings are these blocks as well.
 *
 * @param blocks what parseBlocks() gave.
 * @param context what the file does not say.
 * @returns all values, those that are not given preset. Log files are not preset: the original's is in /tmp.
 * @throws {AuksError} CONFIG_INCOMPLETE if a block is missing or there twice; CONFIG_PARSE for mistakes in the
 * block `mungebox`.
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
  const shared = common(only(named("common"), "common", file), blocks, whole);
  const api = new Values(only(named("api"), "api", file), file, warnings);
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
 * @param blocks what parseBlocks() gave.
 * @param context what the file does not say.
 * @returns all values, those that are not given preset.
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
  const shared = common(only(blocks.filter(isCommon), "common", file), blocks, whole);
  const values = new Values(only(blocks.filter(isAuksd), "auksd", file), file, warnings);
  const config = {
    ...shared,
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

/** What an auksd is on its host. */
export type DaemonRole = "primary" | "secondary" | "local primary";

/**
 * The role of auksd on a host.
 *
 * @param config the hosts.
 * @param hostname what gethostname() says; case and domain count.
 * @returns the role; `"local primary"` on any host if one of the hosts is "localhost", which a secondary that is
 * not configured counts as.
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
