// Which workers are accepting connections right now, so that workers that are not needed leave it to them. If one worker
// can do the work alone, a second one only adds a wake-up for every few requests.

/** A cache line, in words, so that workers don't slow each other down. */
const WORDS_APART = 16;

/** Memory that the workers of an engine share. */
export function createStandby(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer((threads + 1) * WORDS_APART * Int32Array.BYTES_PER_ELEMENT);
}

/** One worker's view. */
export class Standby {
  readonly #words: Int32Array;
  readonly #own: number;

  /** @param number of the worker, from 1. */
  constructor(shared: SharedArrayBuffer, number: number) {
    this.#words = new Int32Array(shared);
    this.#own = number * WORDS_APART;
    this.endTaking(); // left by the number's previous holder
  }

  /** Announces that this worker is accepting connections. */
  beginTaking(): void {
    Atomics.store(this.#words, this.#own, 1);
  }

  /** Announces that it is not, or not soon. */
  endTaking(): void {
    Atomics.store(this.#words, this.#own, 0);
  }

  /**
   * Whether another worker is accepting connections. Of the workers that announce that they have stopped and then ask, at
   * least one gets false, so that they can't all leave it to each other.
   */
  isOtherTaking(): boolean {
    for (let at = 0; at < this.#words.length; at += WORDS_APART) {
      if (at !== this.#own && Atomics.load(this.#words, at) !== 0) return true;
    }
    return false;
  }
}
