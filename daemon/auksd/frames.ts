// What AUKS's connections are made of: messages of a u32 length and that many bytes. Pieces come in as the
// network has them, whole messages go out, and none is longer than its reader allows.

/** A length that is not allowed here. */
export class FrameTooLong extends Error {}

const LENGTH_BYTES = 4;

/** Gathers the bytes of one connection. */
export class FrameReader {
  #buffer: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;

  /** Whether bytes are there that were not taken. */
  get isPending(): boolean {
    return this.#end > this.#start;
  }

  /** How many bytes are there that were not taken. */
  get pendingBytes(): number {
    return this.#end - this.#start;
  }

  /** Adds what came. */
  push(bytes: Uint8Array): void {
    const length = this.#end - this.#start;
    if (this.#end + bytes.length > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(512, 2 * (length + bytes.length)));
      grown.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer.fill(0);
      this.#buffer = grown;
      this.#start = 0;
      this.#end = length;
    }
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /**
   * Takes the next message.
   *
   * @param longest the most bytes it may have.
   * @returns its bytes, valid until the next push(); undefined while it is not there.
   * @throws {FrameTooLong} as soon as its length is known.
   */
  take(longest: number): Uint8Array | undefined {
    const available = this.#end - this.#start;
    if (available < LENGTH_BYTES) return undefined;
    const view = new DataView(this.#buffer.buffer, this.#start);
    const length = view.getUint32(0);
    if (length > longest) {
      throw new FrameTooLong(`A message of ${length} bytes, at most ${longest}`);
    }
    if (available < LENGTH_BYTES + length) return undefined;
    const from = this.#start + LENGTH_BYTES;
    this.#start = from + length;
    const message = this.#buffer.subarray(from, this.#start);
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
    }
    return message;
  }

  /** Forgets all there is, and keeps no memory for it. */
  clear(): void {
    this.#buffer.fill(0);
    this.#buffer = new Uint8Array(0);
    this.#start = 0;
    this.#end = 0;
  }
}

/** Messages as they go over the wire, one after another in one piece. */
export function frame(...messages: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const message of messages) length += LENGTH_BYTES + message.length;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const message of messages) {
    view.setUint32(at, message.length);
    bytes.set(message, at + LENGTH_BYTES);
    at += LENGTH_BYTES + message.length;
  }
  return bytes;
}
