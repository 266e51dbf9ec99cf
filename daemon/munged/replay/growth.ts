// Coordinates the growth of a replay table: no thread inserts while a segment is being added, so that two threads never see
// different numbers of segments. Every wait for another thread is bounded.
import { SEGMENTS } from "./segments.ts";

/** Words of a table's header that say who inserts and who grows it. */
export const GROWTH = {
  segments: 0,
  /** Number of inserting threads. */
  inserters: 1,
  growing: 2,
  growLock: 3,
  /** 1 once a thread has failed to finish growing the table or inserting in time. */
  stuck: 4,
} as const;

/**
 * How often to pause for another thread in the middle of a change: about a second, for something that takes microseconds.
 * Counted in pauses, because time also passes while the whole process is stopped.
 */
const MAX_PAUSES = 10_000;

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/** Lets other threads run for a moment. */
export function pause(): void {
  Atomics.wait(sleepCell, 0, 0, 0.05);
}

/** One thread's part in the growth of one table. */
export class Growth {
  readonly #words: Int32Array;
  readonly #requireMemory: (segment: number) => void;

  /**
   * @param words the table's header.
   * @param requireMemory allocates the memory of a segment; throws if there is none.
   */
  constructor(words: Int32Array, requireMemory: (segment: number) => void) {
    this.#words = words;
    this.#requireMemory = requireMemory;
  }

  /**
   * Counts this thread as inserting, until it leaves.
   *
   * @returns the number of segments, which then stays constant.
   * @throws {Error} if a thread that stopped in the middle of a change blocks this one.
   */
  enter(): number {
    const words = this.#words;
    for (let pauses = 0;; pauses++) {
      if (Atomics.load(words, GROWTH.stuck) !== 0) throw stuck();
      Atomics.add(words, GROWTH.inserters, 1);
      if (Atomics.load(words, GROWTH.growing) === 0) return Atomics.load(words, GROWTH.segments);
      this.leave();
      if (pauses === MAX_PAUSES) this.#giveUp();
      pause();
    }
  }

  /** Stops counting this thread as inserting. */
  leave(): void {
    Atomics.sub(this.#words, GROWTH.inserters, 1);
  }

  /**
   * Adds a segment after the existing `segments`, unless another thread does.
   *
   * @param needed whether there are no free slots left.
   */
  grow(segments: number, needed: boolean): void {
    const words = this.#words;
    if (segments === SEGMENTS.length) {
      if (needed) throw new RangeError("The replay table has no room for more segments");
      return;
    }
    if (Atomics.compareExchange(words, GROWTH.growLock, 0, 1) !== 0) {
      if (needed) this.#waitForGrowth(segments);
      return;
    }
    try {
      if (Atomics.load(words, GROWTH.segments) !== segments) return;
      try {
        this.#requireMemory(segments);
      } catch (error) {
        if (needed) throw error;
        return; // there are still free slots; a thread that finds none will report it
      }
      Atomics.store(words, GROWTH.growing, 1);
      for (let pauses = 0; Atomics.load(words, GROWTH.inserters) !== 0; pauses++) {
        if (pauses === MAX_PAUSES) this.#giveUp();
        pause();
      }
      Atomics.store(words, GROWTH.segments, segments + 1);
      Atomics.store(words, GROWTH.growing, 0);
    } finally {
      Atomics.store(words, GROWTH.growLock, 0);
    }
  }

  /** Waits until another thread has added a segment, or has given up. */
  #waitForGrowth(segments: number): void {
    const words = this.#words;
    for (
      let pauses = 0;
      Atomics.load(words, GROWTH.growLock) !== 0 &&
      Atomics.load(words, GROWTH.segments) === segments;
      pauses++
    ) {
      if (pauses === MAX_PAUSES) this.#giveUp();
      pause();
    }
  }

  /** Makes all threads stop waiting for this table. */
  #giveUp(): never {
    Atomics.store(this.#words, GROWTH.stuck, 1);
    throw stuck();
  }
}

function stuck(): Error {
  return new Error("A thread stopped while it changed the replay table");
}
