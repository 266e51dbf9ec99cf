// Which workers take connections right now, so that those that are not needed leave it to them. What one
// worker can do alone, two do at the price of a wake-up for every few requests.

/** A cache line, in words: workers must not slow each other down by saying what they do. */
const WORDS_APART = 16;

/** What the workers of an engine share, to be handed to each. */
export function createStandby(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer((threads + 1) * WORDS_APART * Int32Array.BYTES_PER_ELEMENT);
}

/** One worker's view. */
export class Standby {
  readonly #words: Int32Array;
  readonly #own: number;

  /** @param number of the worker, 1 and up. */
  constructor(shared: SharedArrayBuffer, number: number) {
    this.#words = new Int32Array(shared);
    this.#own = number * WORDS_APART;
    this.endTaking(); // what the number's last holder left
  }

  /** Says that this worker takes connections, one after the other. */
  beginTaking(): void {
    Atomics.store(this.#words, this.#own, 1);
  }

  /** Says that it does not, or not soon. */
  endTaking(): void {
    Atomics.store(this.#words, this.#own, 0);
  }

  /**
   * Whether another worker takes connections. Of workers that have said that they do not any more and then
   * ask, one at least gets false: so they can't all leave it to each other.
   */
  isOtherTaking(): boolean {
    for (let at = 0; at < this.#words.length; at += WORDS_APART) {
      if (at !== this.#own && Atomics.load(this.#words, at) !== 0) return true;
    }
    return false;
  }
}
