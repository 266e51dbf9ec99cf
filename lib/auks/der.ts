// The little of DER (X.690) that a KRB-CRED needs: a reader that accepts one encoding of each value and never
// believes a length, and a writer that fills one buffer, so that keys leave no copies behind.

/** Tags of universal types, and what turns a number into a tag of another class. */
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

/** Bytes that are not the DER that was expected. */
export class DerError extends Error {}

/** Reads values one after another out of a part of a buffer, of which it copies nothing. */
export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  /**
   * @param bytes what to read.
   *
   * @example
   * ```ts
   * import { DerReader, TAG } from "./lib/auks/der.ts";
   *
   * const reader = new DerReader(Uint8Array.of(0x30, 3, 2, 1, 5));
   * console.log(reader.open(TAG.sequence).integer()); // 5
   * ```
   */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Whether nothing is left to read. */
  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** @throws {DerError} if something is left to read. */
  end(): void {
    if (!this.atEnd) throw new DerError(`${this.#bytes.length - this.#at} bytes too many`);
  }

  /**
   * Takes the contents of a value.
   *
   * @param tag the tag it has to have.
   * @returns its contents, a view.
   * @throws {DerError} if another tag comes, or if the value is longer than what holds it.
   */
  take(tag: number): Uint8Array {
    const found = this.#bytes[this.#at];
    if (found === undefined) throw new DerError(`tag ${hex(tag)} is missing`);
    if (found !== tag) throw new DerError(`tag ${hex(found)} in place of ${hex(tag)}`);
    this.#at++;
    const length = this.#length();
    if (length > this.#bytes.length - this.#at) {
      throw new DerError(
        `a value of ${length} bytes where ${this.#bytes.length - this.#at} are left`,
      );
    }
    return this.#bytes.subarray(this.#at, this.#at += length);
  }

  /**
   * Takes a value that holds others.
   *
   * @param tag the tag it has to have.
   * @returns a reader of its contents.
   * @throws {DerError} as {@linkcode DerReader.take}.
   */
  open(tag: number): DerReader {
    return new DerReader(this.take(tag));
  }

  /**
   * Takes a value that holds others, if it is there.
   *
   * @param tag the tag it may have.
   * @returns a reader of its contents, or undefined if another tag or nothing comes.
   * @throws {DerError} as {@linkcode DerReader.take}.
   */
  openIf(tag: number): DerReader | undefined {
    return this.#bytes[this.#at] === tag ? this.open(tag) : undefined;
  }

  /**
   * Takes a whole value, tag and length included.
   *
   * @param tag the tag it has to have.
   * @returns the value, a view.
   * @throws {DerError} as {@linkcode DerReader.take}.
   */
  whole(tag: number): Uint8Array {
    const start = this.#at;
    this.take(tag);
    return this.#bytes.subarray(start, this.#at);
  }

  /**
   * Takes an INTEGER of 32 bits, signed.
   *
   * @returns the number.
   * @throws {DerError} if it has more bits, or bytes that say nothing.
   */
  integer(): number {
    const bytes = this.take(TAG.integer);
    if (bytes.length === 0 || bytes.length > 4) {
      throw new DerError(`an INTEGER of ${bytes.length} bytes`);
    }
    if (
      bytes.length > 1 &&
      (bytes[0] === 0 ? bytes[1]! < 0x80 : bytes[0] === 0xff && bytes[1]! > 0x7f)
    ) {
      throw new DerError("an INTEGER with a byte too many");
    }
    let value = bytes[0]! >= 0x80 ? -1 : 0;
    for (const byte of bytes) value = value << 8 | byte;
    return value;
  }

  #length(): number {
    const first = this.#bytes[this.#at++];
    if (first === undefined) throw new DerError("a length is missing");
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > 4) throw new DerError(`a length of ${count} bytes`);
    let length = 0;
    for (let i = 0; i < count; i++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new DerError("a length is cut off");
      length = length * 256 + byte;
    }
    if (length < 0x80 || length < 256 ** (count - 1)) {
      throw new DerError("a length with a byte too many");
    }
    return length;
  }
}

/** A value to be written: bytes as they are, or a tag with what it holds. */
export type DerNode = Uint8Array | { readonly tag: number; readonly parts: readonly DerNode[] };

/**
 * A value that holds others.
 *
 * @param tag its tag.
 * @param parts what it holds, in order.
 * @returns the value, for {@linkcode formatDer}.
 */
export function node(tag: number, ...parts: DerNode[]): DerNode {
  return { tag, parts };
}

/**
 * An INTEGER of 32 bits, signed.
 *
 * @param value the number.
 * @returns the value, for {@linkcode formatDer}.
 */
export function integerNode(value: number): DerNode {
  const bytes = [value >> 24, value >> 16 & 0xff, value >> 8 & 0xff, value & 0xff].map((b) =>
    b & 0xff
  );
  while (
    bytes.length > 1 && (bytes[0] === 0 ? bytes[1]! < 0x80 : bytes[0] === 0xff && bytes[1]! > 0x7f)
  ) {
    bytes.shift();
  }
  return node(TAG.integer, Uint8Array.from(bytes));
}

/**
 * Writes a value into a buffer of its own.
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
  const bytes = new Uint8Array(wholeLength(root));
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
