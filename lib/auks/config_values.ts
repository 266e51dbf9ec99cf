// The values of a block of auks.conf: texts, numbers and booleans as the original parses them, with warnings.
import { AuksError } from "./errors.ts";
import type { Block, Setting } from "./grammar.ts";

const MAX_LONG = 2n ** 63n - 1n;
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The settings of one block by key; of duplicate keys, the first applies. */
export class Values {
  readonly #settings = new Map<string, Setting>();
  readonly #asked = new Set<string>();
  readonly #file: string;
  readonly #warnings: string[];

  /**
   * @param block the block; undefined if missing.
   * @param file name of the file, for warnings.
   * @param warnings receives warnings.
   */
  constructor(block: Block | undefined, file: string, warnings: string[]) {
    this.#file = file;
    this.#warnings = warnings;
    for (const setting of block?.settings ?? []) {
      const key = setting.key.toLowerCase();
      if (this.#settings.has(key)) this.#warn(setting, "is given twice; the first one applies");
      else this.#settings.set(key, setting);
    }
  }

  /** Settings in the file's order, without duplicate keys. */
  all(): Iterable<Setting> {
    return this.#settings.values();
  }

  /** The setting for a key, ignoring case. */
  find(key: string): Setting | undefined {
    this.#asked.add(key.toLowerCase());
    return this.#settings.get(key.toLowerCase());
  }

  /** A text. */
  text(key: string): string | undefined;
  text(key: string, preset: string): string;
  text(key: string, preset?: string): string | undefined {
    const setting = this.find(key);
    if (setting === undefined) return preset;
    const text = utf8.decode(setting.value);
    if (text.includes("\ufffd")) this.#warn(setting, "is not UTF-8");
    return text;
  }

  /** A number; trailing text is ignored. */
  number(key: string, preset: number): number {
    const text = this.text(key);
    if (text === undefined) return preset;
    const setting = this.find(key)!;
    const value = parseNumber(text, preset);
    if (String(value) !== text) this.#warn(setting, `"${text}" is read as ${value}`);
    if (value < 0) this.#warn(setting, `${value} is less than 0`);
    return value;
  }

  /** A boolean: `yes` in any case is true, everything else is false. */
  yes(key: string, preset: boolean): boolean {
    const text = this.text(key)?.toLowerCase();
    if (text === undefined) return preset;
    if (text !== "yes" && text !== "no") {
      this.#warn(this.find(key)!, `"${text}" means no, like everything but yes`);
    }
    return text === "yes";
  }

  /** Warns of unknown keys, which the original silently ignores. */
  warnOfUnknown(): void {
    for (const [key, setting] of this.#settings) {
      if (!this.#asked.has(key)) this.#warn(setting, "is not a key of this block and is ignored");
    }
  }

  #warn({ key, line }: Setting, what: string): void {
    this.#warnings.push(`${this.#file} : line ${line}: ${key} ${what}`);
  }
}

/** A number parsed like C's strtol() and truncated to 32 bits; the default if it does not fit into 64 bits. */
function parseNumber(text: string, preset: number): number {
  const digits = /^[ \t\n\v\f\r]*([+-]?\d+)/.exec(text)?.[1];
  if (digits === undefined) return 0;
  const value = BigInt(digits);
  // strtol() returns the limits of its range for values beyond it, so the original treats the limits as such values.
  if (value >= MAX_LONG || value <= -MAX_LONG - 1n) return preset;
  return Number(BigInt.asIntN(32, value));
}

/**
 * The only block of a kind that must exist exactly once.
 *
 * @param blocks all of that kind.
 * @param name their name in the error.
 * @param file name of the file, for the error.
 * @returns the block.
 * @throws {AuksError} CONFIG_INCOMPLETE if there is none or more than one.
 */
export function requireBlock(blocks: readonly Block[], name: string, file: string): Block {
  const [block, second] = blocks;
  if (block === undefined) throw incomplete(file, `there is no block "${name}"`);
  if (second !== undefined) throw incomplete(file, `line ${second.line}: a second block "${name}"`);
  return block;
}

function incomplete(file: string, what: string): AuksError {
  return new AuksError("CONFIG_INCOMPLETE", `${file} : ${what}`);
}
