// The grammar of auks.conf and auks.acl: blocks of keys and values. config.ts and acl.ts know the meaning of the names.
//
//     file  = { block } ;   block = name "{" { key "=" value ";" } "}" ;
import { AuksError, type AuksErrorName } from "./errors.ts";

/** A key and its value. */
export interface Setting {
  /** As written; case does not matter. */
  readonly key: string;
  /** Bytes, because the file need not be UTF-8. */
  readonly value: Uint8Array;
  /** Line of the key, from 1. */
  readonly line: number;
}

/** A block. */
export interface Block {
  /** As written; case matters. */
  readonly name: string;
  /** In the file's order. */
  readonly settings: readonly Setting[];
  /** Line of the name, from 1. */
  readonly line: number;
}

/** The original's errors for an invalid file. */
export interface GrammarErrors {
  readonly syntax: AuksErrorName;
  /** No block at all, which makes the original crash. */
  readonly empty: AuksErrorName;
}

/** Maximum length of a value; the original reads stray memory after a longer one. */
const MAX_VALUE_LENGTH = 1023;

const CODE = {
  nul: 0,
  newline: 0x0a,
  doubleQuote: 0x22,
  hash: 0x23,
  singleQuote: 0x27,
  semicolon: 0x3b,
  equals: 0x3d,
  backslash: 0x5c,
  open: 0x7b,
  close: 0x7d,
} as const;

/** Space, tab, LF, FF and CR, but not VT. */
function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === CODE.newline || byte === 0x0c || byte === 0x0d;
}

function isNameStart(byte: number | undefined): boolean {
  return byte !== undefined && /^[A-Za-z_.]$/.test(String.fromCharCode(byte));
}

function isNamePart(byte: number | undefined): boolean {
  return byte !== undefined && /^[A-Za-z0-9_.:-]$/.test(String.fromCharCode(byte));
}

/**
 * Parses the blocks of a file.
 *
 * @param bytes the whole file.
 * @param file its name, for errors.
 * @param errors which errors to throw; by default those of auks.conf.
 * @returns at least one block.
 * @throws {AuksError} with file, line and problem as its reason.
 *
 * @example
 * ```ts
 * import { parseBlocks } from "./lib/auks/grammar.ts";
 *
 * const text = 'common { PrimaryHost = "mngt" ; NAT = yes ; }';
 * const [block] = parseBlocks(new TextEncoder().encode(text), "auks.conf");
 * console.log(block?.name, block?.settings.length); // "common" 2
 * ```
 */
export function parseBlocks(
  bytes: Uint8Array,
  file: string,
  errors: GrammarErrors = { syntax: "CONFIG_PARSE", empty: "CONFIG_EMPTY" },
): Block[] {
  const blocks = new Parser(bytes, file, errors.syntax).blocks();
  if (blocks.length === 0) throw new AuksError(errors.empty, `${file} has no block`);
  return blocks;
}

class Parser {
  readonly #bytes: Uint8Array;
  readonly #file: string;
  readonly #error: AuksErrorName;
  #at = 0;
  #line = 1;

  constructor(bytes: Uint8Array, file: string, error: AuksErrorName) {
    this.#bytes = bytes;
    this.#file = file;
    this.#error = error;
  }

  blocks(): Block[] {
    const blocks: Block[] = [];
    while (this.#next() !== undefined) {
      const line = this.#line;
      const name = this.#name();
      this.#expect(CODE.open);
      const settings: Setting[] = [];
      while (this.#next() !== CODE.close) settings.push(this.#setting());
      this.#at++;
      blocks.push({ name, settings, line });
    }
    return blocks;
  }

  #setting(): Setting {
    const line = this.#line;
    const key = this.#name();
    this.#expect(CODE.equals);
    const value = this.#value();
    if (value.length > MAX_VALUE_LENGTH) {
      throw this.#failure(
        line,
        `the value of ${key} has ${value.length} bytes, at most ${MAX_VALUE_LENGTH} are allowed`,
      );
    }
    this.#expect(CODE.semicolon);
    return { key, value, line };
  }

  #failure(line: number, what: string): AuksError {
    return new AuksError(this.#error, `${this.#file} : line ${line}: ${what}`);
  }

  /** The unexpected byte at the current position. */
  #unexpected(): AuksError {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) return this.#unexpectedEnd();
    const character = byte < 0x80 ? String.fromCharCode(byte) : "\ufffd";
    return this.#failure(this.#line, `'${character}' unexpected (syntax error)`);
  }

  #unexpectedEnd(): AuksError {
    return new AuksError(
      this.#error,
      `${this.#file} :  (syntax error) at its end, line ${this.#line}`,
    );
  }

  /** Skips white space and comments. */
  #next(): number | undefined {
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte === CODE.hash) {
        const end = this.#bytes.indexOf(CODE.newline, this.#at);
        if (end === -1) throw this.#unexpected();
        this.#at = end;
      } else if (byte === undefined || !isSpace(byte)) return byte;
      else {
        if (byte === CODE.newline) this.#line++;
        this.#at++;
      }
    }
  }

  #expect(byte: number): void {
    if (this.#next() !== byte) throw this.#unexpected();
    this.#at++;
  }

  #name(): string {
    if (!isNameStart(this.#next())) throw this.#unexpected();
    const start = this.#at;
    while (isNamePart(this.#bytes[this.#at])) this.#at++;
    return new TextDecoder().decode(this.#bytes.subarray(start, this.#at));
  }

  #value(): Uint8Array {
    const first = this.#next();
    if (first === CODE.doubleQuote) return this.#quoted(first, "missing closing quote.");
    if (first === CODE.singleQuote) return this.#quoted(first, "closing quote missing.");
    const value: number[] = [];
    const ends: (number | undefined)[] = [
      undefined,
      CODE.hash,
      CODE.semicolon,
      CODE.doubleQuote,
      CODE.singleQuote,
    ];
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (ends.includes(byte) || isSpace(byte!)) break;
      if (byte !== CODE.nul) value.push(byte!);
      this.#at++;
    }
    if (value.length === 0) throw this.#unexpected();
    return Uint8Array.from(value);
  }

  /** Comments are removed before quotes are parsed, so that a # leaves a quote unterminated. */
  #quoted(quote: number, complaint: string): Uint8Array {
    const value: number[] = [];
    for (this.#at++;; this.#at++) {
      let byte = this.#bytes[this.#at];
      if (byte === CODE.backslash && quote === CODE.doubleQuote) {
        byte = this.#bytes[++this.#at];
        // A comment removes the rest of the line, but not a backslash before it.
        if (byte === CODE.hash) byte = this.#skipComment();
        if (byte === CODE.newline) {
          this.#line++;
          continue;
        }
        if (byte === undefined) throw this.#unexpectedEnd();
      } else {
        if (byte === quote) {
          this.#at++;
          return Uint8Array.from(value);
        }
        if (byte === CODE.hash) byte = this.#skipComment();
        if (byte === undefined) throw this.#unexpectedEnd();
        if (byte === CODE.newline) throw this.#failure(this.#line, `${complaint} (syntax error)`);
      }
      if (byte !== CODE.nul) value.push(byte);
    }
  }

  #skipComment(): number | undefined {
    const end = this.#bytes.indexOf(CODE.newline, this.#at);
    this.#at = end === -1 ? this.#bytes.length : end;
    return this.#bytes[this.#at];
  }
}
