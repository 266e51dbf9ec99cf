// When auksd collects garbage: by what it has sent and received, because the runtime's own limit grows with the machine's
// memory.

/** Bytes after which garbage is collected, which takes a millisecond or two. */
const LITTER_MAX = 16 * 2 ** 20;

/** Counts what has become garbage. */
export class Litter {
  #bytes = 0;

  /** Counts bytes that are no longer needed, or soon will not be. */
  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes >= LITTER_MAX) this.collect();
  }

  /** Has all garbage collected as soon as the current event is over. */
  collect(): void {
    this.#bytes = 0;
    setImmediate(() => Bun.gc(true));
  }
}
