// How many transactions with one munged are under way at a time: a thousand calls at once must neither
// use up the process's descriptors nor overrun the daemon's listen queue.
import { onAbort } from "./abort.ts";

/** Lets a number of tasks run at a time; the others wait in the order they came. */
export class Gate {
  #free: number;
  readonly #waiting = new Set<() => void>();

  /** @param width tasks at a time. */
  constructor(width: number) {
    this.#free = width;
  }

  /** Runs `task` when it is its turn. Rejects with the signal's reason if that comes first. */
  async run<T>(task: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await this.#turn(signal);
    try {
      return await task();
    } finally {
      this.#leave();
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const enter = () => {
        stopListening();
        resolve();
      };
      this.#waiting.add(enter);
      const stopListening = onAbort(signal, () => {
        this.#waiting.delete(enter);
        reject(signal!.reason);
      });
    });
  }

  /** Hands the place on, or keeps it free. */
  #leave(): void {
    for (const enter of this.#waiting) {
      this.#waiting.delete(enter);
      return enter();
    }
    this.#free++;
  }
}
