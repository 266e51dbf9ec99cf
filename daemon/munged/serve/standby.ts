// Which workers are accepting connections right now, so that workers that are not needed leave it to them. If one worker
// can do the work alone, a second one only adds a wake-up for every few requests.

/** A cache line, in words, so that workers don't slow each other down. */
const WORDS_APART = 16;
/** Words of a worker: whether it is accepting, how often it began or ended an accept and its client, and whether it waits. */
const TAKING = 0;
const STEPS = 1;
const SETTLING = 2;
/** How often to pause for another worker's client: some hundredths of a second. */
const PATIENCE = 400;
const PAUSE_MS = 0.05;

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

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
    Atomics.store(this.#words, this.#own + STEPS, 0);
    Atomics.store(this.#words, this.#own + SETTLING, 0);
  }

  /** Announces that this worker is accepting connections. */
  beginTaking(): void {
    Atomics.store(this.#words, this.#own + TAKING, 1);
  }

  /** Announces that it is not, or not soon. */
  endTaking(): void {
    Atomics.store(this.#words, this.#own + TAKING, 0);
  }

  /** Announces that this worker is about to accept a client, or has served it. */
  step(): void {
    Atomics.add(this.#words, this.#own + STEPS, 1);
  }

  /**
   * Waits until the other workers have served the clients that they accepted before this one accepted its own, which is a
   * retry: what came first must count first. Workers that wait here themselves are not waited for, as theirs are retries,
   * too.
   *
   * @returns false if one did not get that far in time.
   */
  settle(): boolean {
    const words = this.#words;
    Atomics.store(words, this.#own + SETTLING, 1);
    try {
      for (let at = WORDS_APART; at < words.length; at += WORDS_APART) {
        if (at !== this.#own && !this.#hasServed(at)) return false;
      }
      return true;
    } finally {
      Atomics.store(words, this.#own + SETTLING, 0);
    }
  }

  #hasServed(other: number): boolean {
    const words = this.#words;
    const steps = Atomics.load(words, other + STEPS);
    if (steps % 2 === 0) return true;
    for (let pauses = 0; pauses < PATIENCE; pauses++) {
      if (Atomics.load(words, other + STEPS) !== steps) return true;
      if (Atomics.load(words, other + SETTLING) !== 0) return true;
      Atomics.wait(sleepCell, 0, 0, PAUSE_MS);
    }
    return false;
  }

  /**
   * Whether another worker is accepting connections. Of the workers that announce that they have stopped and then ask, at
   * least one gets false, so that they can't all leave it to each other.
   */
  isOtherTaking(): boolean {
    for (let at = 0; at < this.#words.length; at += WORDS_APART) {
      if (at !== this.#own && Atomics.load(this.#words, at + TAKING) !== 0) return true;
    }
    return false;
  }
}
