// Unused memory of long messages, kept for the next ones. If it were returned to the allocator after each request, much more
// would stay resident, and the system would have to clear its pages each time.

/** Sizes are multiples of this, so that messages of about the same length can use the same memory. */
const STEP = 65_536;
/** Longest memory kept: that of the longest message with payloads of up to 1 MiB. */
const MAX_KEPT_LENGTH = 2 * 2 ** 20;

/** Wiped memory that nothing else in the program has a view of. */
export class SpareMemory {
  readonly #most: number;
  /** Memory that came from here, to recognize it when it is returned. */
  readonly #own = new WeakSet<ArrayBuffer>();
  /** The longest unused first. */
  readonly #spare: ArrayBuffer[] = [];
  #size = 0;

  /** @param most bytes to keep. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Bytes kept at present. */
  get size(): number {
    return this.#size;
  }

  /** `length` zero bytes. Throws a RangeError if they can't be allocated. */
  take(length: number): Uint8Array {
    if (length > MAX_KEPT_LENGTH) return new Uint8Array(length);
    const needed = Math.ceil(length / STEP) * STEP;
    const memory = this.#closest(needed) ?? new ArrayBuffer(needed);
    this.#own.add(memory);
    return new Uint8Array(memory, 0, length);
  }

  /** Wipes and keeps memory that came from here, detached from all its views. Returns false for any other. */
  keep(memory: ArrayBuffer): boolean {
    if (!this.#own.delete(memory)) return false;
    new Uint8Array(memory).fill(0);
    const spare = memory.transfer();
    this.#spare.push(spare);
    this.#size += spare.byteLength;
    this.#shrinkTo(this.#most);
    return true;
  }

  /** Returns all of it to the allocator. */
  drop(): void {
    this.#shrinkTo(0);
  }

  #shrinkTo(size: number): void {
    while (this.#size > size) {
      const oldest = this.#spare.shift()!;
      this.#size -= oldest.byteLength;
      oldest.transfer(0);
    }
  }

  /** Takes out the shortest memory of at least `needed` bytes, but not more than twice as many. */
  #closest(needed: number): ArrayBuffer | undefined {
    let closest: ArrayBuffer | undefined;
    for (const memory of this.#spare) {
      const { byteLength } = memory;
      if (byteLength < needed || byteLength > 2 * needed) continue;
      if (closest === undefined || byteLength < closest.byteLength) closest = memory;
    }
    if (closest === undefined) return undefined;
    this.#spare.splice(this.#spare.indexOf(closest), 1);
    this.#size -= closest.byteLength;
    return closest;
  }
}
