// The framing of AUKS's connections: a u32 length, then that many bytes. Gathers pieces from the network into complete
// messages, none longer than its reader allows.

/** A message longer than allowed. */
export class FrameTooLong extends Error {}

/** Bytes in the length before each message. */
export const LENGTH_BYTES = 4;
/** Memory that stays for the next message; an idle client may stay connected for long. */
const KEPT_BYTES = 4096;

/** Gathers the bytes of one connection. */
export class FrameReader {
  #buffer: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;

  /** Whether there are bytes that have not been taken. */
  get isPending(): boolean {
    return this.#end > this.#start;
  }

  /** Number of bytes that have not been taken. */
  get pendingBytes(): number {
    return this.#end - this.#start;
  }

  /** Bytes of memory in use for those. */
  get heldBytes(): number {
    return this.isPending ? this.#buffer.length : 0;
  }

  /** Adds received bytes. */
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
   * @param longest its maximum length.
   * @returns its bytes, valid until the next push(); undefined if incomplete.
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
      if (this.#buffer.length > KEPT_BYTES) this.#buffer = new Uint8Array(0);
    }
    return message;
  }

  /** Discards everything and releases its memory. */
  clear(): void {
    this.#buffer.fill(0);
    this.#buffer = new Uint8Array(0);
    this.#start = 0;
    this.#end = 0;
  }
}

/** Fills in the length of the message that follows it in `bytes`. @returns the same bytes, now a frame. */
export function frameInPlace(bytes: Uint8Array): Uint8Array {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, bytes.length - LENGTH_BYTES);
  return bytes;
}

/** Messages in wire format, one after another in one buffer. */
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
