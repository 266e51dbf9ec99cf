// What requests leave behind in a worker: garbage, and memory kept for the next ones. The runtime collects it only when it
// needs more memory, or in its event loop, which never runs in a worker; so the worker does once it is idle.
import { dropSpareMemory } from "../../../lib/bytes/memory.ts";

/** Bytes received from which giving back is worth its time. */
const MUCH = 2 * 2 ** 20;
/** Bytes a client counts for in addition to its own. */
const PER_CLIENT = 512;
/** How long a worker has been idle before it gives memory back. */
const IDLE_MS = 100;

/** The leftovers of one worker. */
export class Leftovers {
  readonly #received: () => number;
  #receivedBefore = 0;
  #accepted = 0;

  /** @param received the number of bytes received from clients so far. */
  constructor(received: () => number) {
    this.#received = received;
  }

  /** Milliseconds to wait for clients before calling {@linkcode giveBack}; Infinity if there is nothing to give back. */
  get patience(): number {
    return this.#isMuch ? IDLE_MS : Infinity;
  }

  /** Counts a client. */
  accepted(): void {
    this.#accepted++;
  }

  /** Frees the memory, if it is much. */
  giveBack(): void {
    if (!this.#isMuch) return;
    dropSpareMemory();
    Bun.gc(true);
    this.#accepted = 0;
    this.#receivedBefore = this.#received();
  }

  get #isMuch(): boolean {
    return this.#received() - this.#receivedBefore + this.#accepted * PER_CLIENT > MUCH;
  }
}
