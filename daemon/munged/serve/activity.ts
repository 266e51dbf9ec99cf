// A word that workers share with the main thread and set when a client connects or a request is served, so that the main
// thread learns that munged is in use without checking regularly.

/** Memory for the word. */
export function createActivity(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

/** One thread's view of the word. */
export class Activity {
  readonly #word: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#word = new Int32Array(memory);
  }

  /** Records that munged is in use. */
  mark(): void {
    if (Atomics.load(this.#word, 0) === 0 && Atomics.exchange(this.#word, 0, 1) === 0) {
      Atomics.notify(this.#word, 0);
    }
  }

  /** Settles when munged is in use. */
  async next(): Promise<void> {
    Atomics.store(this.#word, 0, 0);
    const marked = Atomics.waitAsync(this.#word, 0, 0);
    if (marked.async) await marked.value;
  }
}
