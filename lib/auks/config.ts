// auks.conf: what its blocks mean to the client programs and to auksd. Tables of keys drive reading, defaults and
// checks; the files it names are not looked at here.
import { AuksError } from "./errors.ts";
import type { Block, Setting } from "./grammar.ts";
import type { Packing } from "./message.ts";
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

/** The block `mungebox`, which the original ignores. */
export interface OwnConfig {
  /** How the daemon packs credentials. */
  readonly dialect: DialectSetting;
  /** Whether the daemons of a pair tell each other what they accept. */
  readonly replicate: boolean;
  /** Whether a ticket is on disk, rather than with the kernel, before its user hears that it is stored. */
  readonly sync: boolean;
  /** Whether all pages of the daemon's memory are locked. */
  readonly lockMemory: boolean;
  /** Where the daemon writes its process ID; empty for nowhere. */
  readonly pidFile: string;
  /** Where it writes its numbers in Prometheus's format; empty for nowhere. */
  readonly metricsFile: string;
}

/** Value of `Dialect` in the block `mungebox`. */
export type DialectSetting = keyof typeof DIALECT_SETTINGS;

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

/** How the daemon packs for whom. */
export interface Packings {
  /** For the original's clients, which don't say what they read. */
  readonly foreign: Packing;
  /** For ours, which say that they read everything. */
  readonly ours: Packing;
}

/** Without padding where every released client that has the layout reads that: AUKS 0.5.2 and older do not. */
const PACKINGS = {
  "0.4": { dialect: "0.4", compact: false },
  "0.5": { dialect: "0.5", compact: false },
  head: { dialect: "head", compact: true },
} as const satisfies Readonly<Record<string, Packing>>;

/** How each `Dialect` packs. `auto` serves AUKS 0.5.3 and 0.5.4, and ours with tickets of any size. */
export const DIALECT_SETTINGS = {
  auto: { foreign: { dialect: "0.5", compact: true }, ours: PACKINGS.head },
  "0.4": { foreign: PACKINGS["0.4"], ours: PACKINGS["0.4"] },
  "0.5": { foreign: PACKINGS["0.5"], ours: PACKINGS["0.5"] },
  head: { foreign: PACKINGS.head, ours: PACKINGS.head },
} as const satisfies Readonly<Record<string, Packings>>;

const OWN_BLOCK = "mungebox";
const DEFAULT_PORT = "12345";
const DEFAULT_ACL_FILE = "/etc/auks/auks.acl";
const MAX_LONG = 2n ** 63n - 1n;
const utf8 = new TextDecoder();

/** The settings of one block by key; of a key that comes twice the first one counts. */
class Values {
  readonly #settings = new Map<string, Setting>();
  readonly #file: string;
  readonly #warnings: string[];

  constructor(block: Block | undefined, file: string, warnings: string[]) {
    this.#file = file;
    this.#warnings = warnings;
    for (const setting of block?.settings ?? []) {
      const key = setting.key.toLowerCase();
      if (!this.#settings.has(key)) this.#settings.set(key, setting);
      else {warnings.push(
          `${file} : line ${setting.line}: ${setting.key} is given twice, the first one counts`,
        );}
    }
  }

  /** Settings in the order of the file, a key that comes twice once. */
  all(): Iterable<Setting> {
    return this.#settings.values();
  }

  has(key: string): boolean {
    return this.#settings.has(key.toLowerCase());
  }

  line(key: string): number {
    return this.#settings.get(key.toLowerCase())?.line ?? 0;
  }

  text(key: string): string | undefined;
  text(key: string, preset: string): string;
  text(key: string, preset?: string): string | undefined {
    const setting = this.#settings.get(key.toLowerCase());
    if (setting === undefined) return preset;
    const text = utf8.decode(setting.value);
    if (text.includes("\ufffd")) {
      this.#warnings.push(`${this.#file} : line ${setting.line}: ${setting.key} is not UTF-8`);
    }
    return text;
  }

  number(key: string, preset: number): number {
    const text = this.text(key);
    return text === undefined ? preset : parseNumber(text, preset);
  }

  yes(key: string, preset: boolean): boolean {
    const text = this.text(key);
    return text === undefined ? preset : text.toLowerCase() === "yes";
  }
}

/** A number as C's strtol() reads it, kept to 32 bits; what does not fit 64 bits is the preset. */
function parseNumber(text: string, preset: number): number {
  const digits = /^[ \t\n\v\f\r]*([+-]?\d+)/.exec(text)?.[1];
  if (digits === undefined) return 0;
  const value = BigInt(digits);
  // strtol() gives the two ends of its range also for what lies beyond, so the original takes them for that.
  if (value >= MAX_LONG || value <= -MAX_LONG - 1n) return preset;
  return Number(BigInt.asIntN(32, value));
}

/** The one block of a kind that there has to be. */
function only(blocks: readonly Block[], name: string, file: string): Block {
  const [block, second] = blocks;
  if (block === undefined) throw incomplete(file, `there is no block "${name}"`);
  if (second !== undefined) throw incomplete(file, `line ${second.line}: a second block "${name}"`);
  return block;
}

function incomplete(file: string, what: string): AuksError {
  return new AuksError("CONFIG_INCOMPLETE", `${file} : ${what}`);
}

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
  warnings.push(`${file} : line ${values.line(key)}: ${key} ${read.warning}`);
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
    .some((key) => values.has(`Secondary${key}`));
  return {
    primary: server(values, "Primary", context),
    secondary: hasSecondary ? server(values, "Secondary", context) : undefined,
    crossRealm: values.text("CrossRealm", ""),
    nat: values.yes("NAT", false),
    retries: values.number("Retries", 3),
    timeout: values.number("Timeout", 10),
    delay: values.number("Delay", 10),
    own: own(blocks, context),
    warnings,
  };
}

const YES_OR_NO = {
  values: "yes, no",
  read: (text: string) => new Map([["yes", true], ["no", false]]).get(text.toLowerCase()),
};
const ABSOLUTE_PATH = {
  values: "absolute paths",
  read: (text: string) => text.startsWith("/") ? text : undefined,
};

/** Reads one key of our own block; undefined for a value that it can't have. */
const OWN_KEYS: {
  readonly [key in keyof OwnConfig]: {
    readonly preset: OwnConfig[key];
    readonly values: string;
    readonly read: (text: string) => OwnConfig[key] | undefined;
  };
} = {
  dialect: {
    preset: "auto",
    values: Object.keys(DIALECT_SETTINGS).join(", "),
    read: (text) =>
      (Object.keys(DIALECT_SETTINGS) as DialectSetting[]).find((name) =>
        name === text.toLowerCase()
      ),
  },
  replicate: { preset: false, ...YES_OR_NO },
  sync: { preset: true, ...YES_OR_NO },
  lockMemory: { preset: false, ...YES_OR_NO },
  pidFile: { preset: "", ...ABSOLUTE_PATH },
  metricsFile: { preset: "", ...ABSOLUTE_PATH },
};

/** As they are compared. */
const OWN_NAMES: ReadonlySet<string> = new Set(
  Object.keys(OWN_KEYS).map((key) => key.toLowerCase()),
);

/** Ours alone, so that nothing in it is ignored or guessed. */
function own(blocks: readonly Block[], { file, warnings }: Context): OwnConfig {
  const found = blocks.filter(({ name }) => name === OWN_BLOCK);
  const block = found.length === 0 ? undefined : only(found, OWN_BLOCK, file);
  const values = new Values(block, file, warnings);
  for (const { key, line } of values.all()) {
    if (!OWN_NAMES.has(key.toLowerCase())) {
      throw new AuksError(
        "CONFIG_PARSE",
        `${file} : line ${line}: block ${OWN_BLOCK} has no key "${key}"`,
      );
    }
  }
  const read = <K extends keyof OwnConfig>(key: K): OwnConfig[K] => {
    const text = values.text(key);
    if (text === undefined) return OWN_KEYS[key].preset;
    const value = OWN_KEYS[key].read(text);
    if (value !== undefined) return value;
    throw new AuksError(
      "CONFIG_PARSE",
      `${file} : line ${values.line(key)}: ${key} can't be "${text}", only one of ${
        OWN_KEYS[key].values
      }`,
    );
  };
  return {
    dialect: read("dialect"),
    replicate: read("replicate"),
    sync: read("sync"),
    lockMemory: read("lockMemory"),
    pidFile: read("pidFile"),
    metricsFile: read("metricsFile"),
  };
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
  return {
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
  return {
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
