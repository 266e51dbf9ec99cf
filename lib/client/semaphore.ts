// Limits the number of concurrent transactions with one munged, so that a thousand calls at once neither use up the
// process's descriptors nor overflow the daemon's listen queue.
import { onAbort } from "./abort.ts";

/** Runs a limited number of tasks at a time; others wait in order of arrival. */
export class Semaphore {
  #free: number;
  readonly #waiting = new Set<() => void>();

  /** @param permits maximum number of concurrent tasks. */
  constructor(permits: number) {
    this.#free = permits;
  }

  /** Runs `task` when it is its turn. Rejects with the signal's reason if that comes first. */
  async run<T>(task: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await this.#awaitPermit(signal);
    try {
      return await task();
    } finally {
      this.#release();
    }
  }

  #awaitPermit(signal: AbortSignal | undefined): Promise<void> {
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

  /** Passes the permit on, or returns it. */
  #release(): void {
    for (const enter of this.#waiting) {
      this.#waiting.delete(enter);
      return enter();
    }
    this.#free++;
  }
}
