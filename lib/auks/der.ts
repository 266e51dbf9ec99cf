// The part of DER (X.690) that a KRB-CRED needs: a reader that accepts only one encoding of each value and checks every
// length, and a writer that fills a single buffer, so that no copies of keys remain.

import { secretBytes } from "../bytes/secret.ts";

/** Tags of universal types, and functions for tags of other classes. */
export const TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  sequence: 0x30,
  generalizedTime: 0x18,
  generalString: 0x1b,
  /** [n], constructed. */
  context: (number: number) => 0xa0 | number,
  /** [APPLICATION n], constructed. */
  application: (number: number) => 0x60 | number,
} as const;

/** Bytes that are not the expected DER. */
export class DerError extends Error {}

/** Reads values one after another from part of a buffer, without copying. */
export class DerReader {
  readonly #bytes: Uint8Array;
  #at: number;
  readonly #end: number;

  /**
   * @param bytes the DER.
   * @param start where it begins in them.
   * @param end where it ends.
   *
   * @example
   * ```ts
   * import { DerReader, TAG } from "./lib/auks/der.ts";
   *
   * const reader = new DerReader(Uint8Array.of(0x30, 3, 2, 1, 5));
   * console.log(reader.open(TAG.sequence).integer()); // 5
   * ```
   */
  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Whether nothing is left to read. */
  get atEnd(): boolean {
    return this.#at === this.#end;
  }

  /** @throws {DerError} if anything is left to read. */
  end(): void {
    if (!this.atEnd) throw new DerError(`${this.#end - this.#at} bytes too many`);
  }

  /**
   * Takes the contents of a value.
   *
   * @param tag its required tag.
   * @returns its contents, a view.
   * @throws {DerError} for a different tag, or a value longer than its container.
   */
  take(tag: number): Uint8Array {
    const end = this.#enter(tag);
    const start = this.#at;
    this.#at = end;
    return this.#bytes.subarray(start, end);
  }

  /**
   * Takes a constructed value.
   *
   * @param tag its required tag.
   * @returns a reader of its contents.
   * @throws {DerError} as {@linkcode DerReader.take}.
   */
  open(tag: number): DerReader {
    const end = this.#enter(tag);
    const start = this.#at;
    this.#at = end;
    return new DerReader(this.#bytes, start, end);
  }

  /**
   * Takes an optional constructed value.
   *
   * @param tag its tag, if present.
   * @returns a reader of its contents, or undefined for a different tag or at the end.
   * @throws {DerError} as {@linkcode DerReader.take}.
   */
  openIf(tag: number): DerReader | undefined {
    return !this.atEnd && this.#bytes[this.#at] === tag ? this.open(tag) : undefined;
  }

  /**
   * Takes a complete value, including tag and length.
   *
   * @param tag its required tag.
   * @returns the value, a view.
   * @throws {DerError} as {@linkcode DerReader.take}.
   */
  whole(tag: number): Uint8Array {
    const start = this.#at;
    this.#at = this.#enter(tag);
    return this.#bytes.subarray(start, this.#at);
  }

  /**
   * Takes a signed 32-bit INTEGER.
   *
   * @returns the number.
   * @throws {DerError} if it has more bits or redundant bytes.
   */
  integer(): number {
    const end = this.#enter(TAG.integer);
    const start = this.#at;
    this.#at = end;
    const length = end - start;
    if (length === 0 || length > 4) throw new DerError(`an INTEGER of ${length} bytes`);
    const first = this.#bytes[start]!;
    if (length > 1 && isRedundant(first, this.#bytes[start + 1]!)) {
      throw new DerError("an INTEGER longer than necessary");
    }
    let value = first >= 0x80 ? -1 : 0;
    for (let at = start; at < end; at++) value = value << 8 | this.#bytes[at]!;
    return value;
  }

  /** Moves to the contents of a value. Returns where they end, not a view, because creating one would take longest. */
  #enter(tag: number): number {
    if (this.atEnd) throw new DerError(`tag ${hex(tag)} is missing`);
    const found = this.#bytes[this.#at]!;
    if (found !== tag) throw new DerError(`tag ${hex(found)} instead of ${hex(tag)}`);
    this.#at++;
    const length = this.#length();
    const left = this.#end - this.#at;
    if (length > left) throw new DerError(`a value of ${length} bytes where ${left} are left`);
    return this.#at + length;
  }

  #length(): number {
    if (this.atEnd) throw new DerError("a length is missing");
    const first = this.#bytes[this.#at++]!;
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > 4) throw new DerError(`a length of ${count} bytes`);
    if (count > this.#end - this.#at) throw new DerError("a length is cut off");
    let length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + this.#bytes[this.#at++]!;
    if (length < 0x80 || length < 256 ** (count - 1)) {
      throw new DerError("a length in more bytes than necessary");
    }
    return length;
  }
}

/** Whether the first of an INTEGER's bytes only repeats the sign of the second. */
function isRedundant(first: number, second: number): boolean {
  return first === 0 ? second < 0x80 : first === 0xff && second > 0x7f;
}

/** A value to write: raw bytes, or a tag with its contents. */
export type DerNode = Uint8Array | { readonly tag: number; readonly parts: readonly DerNode[] };

/**
 * A constructed value.
 *
 * @param tag its tag.
 * @param parts its contents, in order.
 * @returns the value, for {@linkcode formatDer}.
 */
export function node(tag: number, ...parts: DerNode[]): DerNode {
  return { tag, parts };
}

/**
 * A signed 32-bit INTEGER.
 *
 * @param value the number.
 * @returns the value, for {@linkcode formatDer}.
 */
export function integerNode(value: number): DerNode {
  const bytes = [value >> 24, value >> 16 & 0xff, value >> 8 & 0xff, value & 0xff].map((b) =>
    b & 0xff
  );
  while (bytes.length > 1 && isRedundant(bytes[0]!, bytes[1]!)) bytes.shift();
  return node(TAG.integer, Uint8Array.from(bytes));
}

/**
 * Writes a value into a new buffer.
 *
 * @param root the value.
 * @returns its DER.
 *
 * @example
 * ```ts
 * import { formatDer, integerNode, node, TAG } from "./lib/auks/der.ts";
 *
 * console.log([...formatDer(node(TAG.sequence, integerNode(5)))]); // [ 48, 3, 2, 1, 5 ]
 * ```
 */
export function formatDer(root: DerNode): Uint8Array {
  const bytes = secretBytes(wholeLength(root));
  write(bytes, 0, root);
  return bytes;
}

function contentLength(parts: readonly DerNode[]): number {
  let length = 0;
  for (const part of parts) length += wholeLength(part);
  return length;
}

function wholeLength(value: DerNode): number {
  if (value instanceof Uint8Array) return value.length;
  const content = contentLength(value.parts);
  return 1 + lengthOfLength(content) + content;
}

function lengthOfLength(length: number): number {
  if (length < 0x80) return 1;
  return length < 0x100 ? 2 : length < 0x1_0000 ? 3 : length < 0x100_0000 ? 4 : 5;
}

function write(bytes: Uint8Array, at: number, value: DerNode): number {
  if (value instanceof Uint8Array) {
    bytes.set(value, at);
    return at + value.length;
  }
  bytes[at++] = value.tag;
  const length = contentLength(value.parts);
  const count = lengthOfLength(length) - 1;
  if (count === 0) bytes[at++] = length;
  else {
    bytes[at++] = 0x80 | count;
    for (let i = count - 1; i >= 0; i--) bytes[at++] = length >>> (8 * i);
  }
  for (const part of value.parts) at = write(bytes, at, part);
  return at;
}

function hex(tag: number): string {
  return `0x${tag.toString(16).padStart(2, "0")}`;
}
