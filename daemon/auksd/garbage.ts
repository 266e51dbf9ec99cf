// When auksd collects garbage: by what it has sent and received, because the runtime's own limit grows with the machine's
// memory.

/** Bytes after which garbage is collected, which takes a millisecond or two. */
const GARBAGE_LIMIT = 16 * 2 ** 20;

/** Counts what has become garbage. */
export class Garbage {
  #bytes = 0;

  /** Counts bytes that are no longer needed, or soon will not be. */
  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes >= GARBAGE_LIMIT) this.collect();
  }

  /** Collects all garbage as soon as the current event is over. */
  collect(): void {
    this.#bytes = 0;
    setImmediate(() => Bun.gc(true));
  }
}
