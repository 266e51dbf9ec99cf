// What requests leave behind in a worker: garbage, memory kept for the next requests, and freed memory that the allocator
// has not yet returned. The runtime returns it when it needs more memory, or in its event loop, which never runs in a
// worker. So the worker does so itself, when it is idle and while several users keep it busy.
import { dropSpareMemory, spareMemorySize } from "../../../lib/bytes/memory.ts";
import { releaseProgramPages } from "../../../lib/os/program_pages.ts";
import { dropPrimitivesMemory } from "../../../lib/primitives/executable.ts";

/** Bytes received and kept from which returning memory is worth the time. */
const RETURN_THRESHOLD = 2 * 2 ** 20;
/**
 * Bytes received between two collections while several users compete. Under a flood of 1 MiB requests, this saves 20 MiB of
 * memory, and a tenth fewer requests are answered.
 */
const GARBAGE_LIMIT = 16 * 2 ** 20;
/** Bytes a client counts for in addition to its own. */
const PER_CLIENT = 512;
/** How long a worker must have been idle. */
const IDLE_MS = 100;
/**
 * How long the worker must then be idle before each purge, in which the allocator returns what was freed. The first comes after
 * the allocator's own delay (MIMALLOC_PURGE_DELAY in scripts/runtime/entry.ts); the second after the engine's compiler threads
 * have ended, 10 s after their last work, and given up their memory.
 */
const PURGE_MS = [150, 12_000];

/** The leftovers of one worker. */
export class Leftovers {
  readonly #received: () => number;
  #receivedBefore = 0;
  #collectedBefore = 0;
  #accepted = 0;
  /** The number of purges since memory was freed. */
  #purges = PURGE_MS.length;

  /** @param received the number of bytes received from clients so far. */
  constructor(received: () => number) {
    this.#received = received;
  }

  /** Milliseconds to wait for clients before calling {@linkcode giveBack}; Infinity if there is nothing to give back. */
  get idleTimeout(): number {
    if (this.#isWorthReturning) return IDLE_MS;
    return PURGE_MS[this.#purges] ?? Infinity;
  }

  /** Counts a client. */
  accepted(): void {
    this.#accepted++;
  }

  /** Frees the memory, or makes the allocator return what was freed before. */
  giveBack(): void {
    const isWorthReturning = this.#isWorthReturning;
    if (!isWorthReturning && this.#purges === PURGE_MS.length) return;
    if (isWorthReturning) {
      dropSpareMemory();
      dropPrimitivesMemory();
      this.#purges = 0;
    } else this.#purges++;
    Bun.gc(true);
    if (this.#purges === PURGE_MS.length) releaseProgramPages(); // last, because the collector's code is a third of them
    this.#accepted = 0;
    this.#receivedBefore = this.#received();
  }

  /** Collects garbage after much work for several users; the runtime would let it grow. */
  limitGarbage(): void {
    const received = this.#received();
    if (received - this.#collectedBefore < GARBAGE_LIMIT) return;
    dropPrimitivesMemory();
    Bun.gc(true);
    this.#collectedBefore = received;
  }

  get #isWorthReturning(): boolean {
    const received = this.#received() - this.#receivedBefore;
    // Clients may give up on their answers long after the last request.
    return received + this.#accepted * PER_CLIENT + spareMemorySize() > RETURN_THRESHOLD;
  }
}
