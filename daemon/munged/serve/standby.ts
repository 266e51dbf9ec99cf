// Which workers are accepting connections right now, so that others can leave it to them. If one worker can do the work
// alone, a second one only adds a wake-up every few requests.

/** A cache line, in words, so that workers don't slow each other down. */
const CACHE_LINE_WORDS = 16;
/** Words of a worker: whether it is accepting, and how often it has begun or finished serving a new client. */
const ACCEPTING = 0;
const STEPS = 1;

/** Memory that the workers of an engine share. */
export function createStandby(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer((threads + 1) * CACHE_LINE_WORDS * Int32Array.BYTES_PER_ELEMENT);
}

/** A worker that was serving a client at a certain moment. */
export interface Serving {
  /** Where its words are. */
  readonly at: number;
  readonly steps: number;
}

/** One worker's view. */
export class Standby {
  readonly #words: Int32Array;
  readonly #own: number;

  /** @param number of the worker, from 1. */
  constructor(shared: SharedArrayBuffer, number: number) {
    this.#words = new Int32Array(shared);
    this.#own = number * CACHE_LINE_WORDS;
    this.endAccepting(); // left by the number's previous holder
    Atomics.store(this.#words, this.#own + STEPS, 0);
  }

  /** Announces that this worker is accepting connections. */
  beginAccepting(): void {
    Atomics.store(this.#words, this.#own + ACCEPTING, 1);
  }

  /** Announces that it has stopped, or is about to do something else. */
  endAccepting(): void {
    Atomics.store(this.#words, this.#own + ACCEPTING, 0);
  }

  /** Announces that this worker is about to accept a client, or has served it. */
  step(): void {
    Atomics.add(this.#words, this.#own + STEPS, 1);
  }

  /** The other workers that are serving, or about to identify, a client accepted by now. */
  servingNow(): Serving[] {
    const words = this.#words;
    const serving: Serving[] = [];
    for (let at = CACHE_LINE_WORDS; at < words.length; at += CACHE_LINE_WORDS) {
      const steps = Atomics.load(words, at + STEPS);
      if (at !== this.#own && steps % 2 !== 0) serving.push({ at, steps });
    }
    return serving;
  }

  /** Whether a worker has served the client that it was serving, or has parked it. */
  hasServed({ at, steps }: Serving): boolean {
    return Atomics.load(this.#words, at + STEPS) !== steps;
  }

  /**
   * Whether another worker is accepting connections. Of the workers that announce that they have stopped and then ask, at
   * least one gets false, so that they can't all leave it to each other.
   */
  isOtherAccepting(): boolean {
    for (let at = 0; at < this.#words.length; at += CACHE_LINE_WORDS) {
      if (at !== this.#own && Atomics.load(this.#words, at + ACCEPTING) !== 0) return true;
    }
    return false;
  }
}
