// The block `mungebox` of auks.conf, which the original ignores. Here, any mistake in it is an error.
import { requireBlock, Values } from "./config_values.ts";
import { AuksError } from "./errors.ts";
import type { Block } from "./grammar.ts";
import type { Packing } from "./reply.ts";

/** The settings of the block. */
export interface OwnConfig {
  /** How the daemon packs credentials. */
  readonly dialect: DialectSetting;
  /** Whether the daemons of a pair forward accepted tickets to each other. */
  readonly replicate: boolean;
  /** Whether a ticket must be on disk, not just written to the kernel, before it is acknowledged. */
  readonly sync: boolean;
  /** Whether to lock all of the daemon's memory. */
  readonly lockMemory: boolean;
  /** Path of the PID file; empty for none. */
  readonly pidFile: string;
  /** Path of the Prometheus metrics file; empty for none. */
  readonly metricsFile: string;
}

/** Value of `Dialect` in the block `mungebox`. */
export type DialectSetting = keyof typeof DIALECT_SETTINGS;

/** How the daemon packs credentials for different clients. */
export interface Packings {
  /** For the original's clients, which do not announce what they can read. */
  readonly foreign: Packing;
  /** For our clients, which announce that they can read everything. */
  readonly ours: Packing;
}

/** Without padding if every released client with that layout can read it; AUKS 0.5.2 and older can't. */
const PACKINGS = {
  "0.4": { dialect: "0.4", compact: false },
  "0.5": { dialect: "0.5", compact: false },
  head: { dialect: "head", compact: true },
} as const satisfies Readonly<Record<string, Packing>>;

/** The packing for each `Dialect`. `auto` serves AUKS 0.5.3 and 0.5.4, and our clients with tickets of any size. */
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

/** Reads one key of our own block; undefined for an invalid value. */
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

/** The keys in lower case, for comparison. */
const OWN_NAMES: ReadonlySet<string> = new Set(
  Object.keys(OWN_KEYS).map((key) => key.toLowerCase()),
);

/**
 * Reads the block.
 *
 * @param blocks all blocks of the file.
 * @param context the file's name, and the receiver of warnings.
 * @returns all values, with defaults for missing ones.
 * @throws {AuksError} CONFIG_PARSE for an unknown key or value, CONFIG_INCOMPLETE for a second block.
 */
export function readOwnConfig(
  blocks: readonly Block[],
  { file, warnings }: { readonly file: string; readonly warnings: string[] },
): OwnConfig {
  const found = blocks.filter(({ name }) => name === OWN_BLOCK);
  const block = found.length === 0 ? undefined : requireBlock(found, OWN_BLOCK, file);
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
