// The block `mungebox` of auks.conf, which the original ignores. Nothing in it is ignored or guessed here.
import { only, Values } from "./config_values.ts";
import { AuksError } from "./errors.ts";
import type { Block } from "./grammar.ts";
import type { Packing } from "./reply.ts";

/** What the block says. */
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

const YES_OR_NO = {
  values: "yes or no",
  read: (text: string) => new Map([["yes", true], ["no", false]]).get(text.toLowerCase()),
};
const ABSOLUTE_PATH = {
  values: "an absolute path",
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
    values: `one of ${Object.keys(DIALECT_SETTINGS).join(", ")}`,
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

/**
 * Reads the block.
 *
 * @param blocks all blocks of the file.
 * @param context name of the file, and where warnings go.
 * @returns all values, those that are not given preset.
 * @throws {AuksError} CONFIG_PARSE for a key or a value that there is not, CONFIG_INCOMPLETE for a second block.
 */
export function readOwnConfig(
  blocks: readonly Block[],
  { file, warnings }: { readonly file: string; readonly warnings: string[] },
): OwnConfig {
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
    const { preset, values: possible, read } = OWN_KEYS[key];
    const setting = values.find(key);
    if (setting === undefined) return preset;
    const text = values.text(key, "");
    const value = read(text);
    if (value !== undefined) return value;
    const where = `${file} : line ${setting.line}`;
    throw new AuksError(
      "CONFIG_PARSE",
      `${where}: ${setting.key} can't be "${text}", only ${possible}`,
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
