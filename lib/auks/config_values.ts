// The values of a block of auks.conf: texts, numbers and booleans as the original reads them, and what to warn of.
import { AuksError } from "./errors.ts";
import type { Block, Setting } from "./grammar.ts";

const MAX_LONG = 2n ** 63n - 1n;
const utf8 = new TextDecoder();

/** The settings of one block by key; of a key that comes twice the first one counts. */
export class Values {
  readonly #settings = new Map<string, Setting>();
  readonly #asked = new Set<string>();
  readonly #file: string;
  readonly #warnings: string[];

  /**
   * @param block the block; undefined for one that is not there.
   * @param file name of the file, for warnings.
   * @param warnings where they go.
   */
  constructor(block: Block | undefined, file: string, warnings: string[]) {
    this.#file = file;
    this.#warnings = warnings;
    for (const setting of block?.settings ?? []) {
      const key = setting.key.toLowerCase();
      if (this.#settings.has(key)) this.#warn(setting, "is given twice, the first one counts");
      else this.#settings.set(key, setting);
    }
  }

  /** Settings in the order of the file, a key that comes twice once. */
  all(): Iterable<Setting> {
    return this.#settings.values();
  }

  /** The setting of a key in any case. */
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

  /** A number, read as far as it goes. */
  number(key: string, preset: number): number {
    const text = this.text(key);
    if (text === undefined) return preset;
    const setting = this.find(key)!;
    const value = parseNumber(text, preset);
    if (String(value) !== text) this.#warn(setting, `"${text}" is read as ${value}`);
    if (value < 0) this.#warn(setting, `${value} is less than 0`);
    return value;
  }

  /** A boolean: `yes` in any case is true, and everything else is false. */
  yes(key: string, preset: boolean): boolean {
    const text = this.text(key)?.toLowerCase();
    if (text === undefined) return preset;
    if (text !== "yes" && text !== "no") {
      this.#warn(this.find(key)!, `"${text}" counts as no, as all but yes does`);
    }
    return text === "yes";
  }

  /** Warns of the keys that nobody has asked for, which the original passes over in silence. */
  warnOfUnknown(): void {
    for (const [key, setting] of this.#settings) {
      if (!this.#asked.has(key)) this.#warn(setting, "is no key of this block, and is ignored");
    }
  }

  #warn({ key, line }: Setting, what: string): void {
    this.#warnings.push(`${this.#file} : line ${line}: ${key} ${what}`);
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

/**
 * The one block of a kind that there has to be.
 *
 * @param blocks all of that kind.
 * @param name what they are called in the error.
 * @param file name of the file, for the error.
 * @returns the block.
 * @throws {AuksError} CONFIG_INCOMPLETE if there is none, or a second one.
 */
export function only(blocks: readonly Block[], name: string, file: string): Block {
  const [block, second] = blocks;
  if (block === undefined) throw incomplete(file, `there is no block "${name}"`);
  if (second !== undefined) throw incomplete(file, `line ${second.line}: a second block "${name}"`);
  return block;
}

function incomplete(file: string, what: string): AuksError {
  return new AuksError("CONFIG_INCOMPLETE", `${file} : ${what}`);
}
