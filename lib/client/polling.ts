// Before the process sleeps, polls for a moment for the answer to a single request. On an idle machine the processors sleep
// too, and waking munged's for the request and ours for the answer takes longer than munged takes to make the answer; the
// side that wakes the other pays for it. The event loop reads what arrives, as always.
import { availableParallelism } from "node:os";
import { setImmediate } from "node:timers";

/** How long to poll, in milliseconds: a few times as long as an idle munged takes. */
const POLL_MS = 0.08;
/** Maximum number of requests to send without polling after an answer did not arrive in time. */
const MAX_SKIPPED = 1023;

/** The polling for the answers over one connection. */
export class Polling {
  /** Whether munged can make an answer while this process polls for it. */
  readonly #isUseful: boolean;
  readonly #now: () => number;
  #isAwaited = false;
  #isScheduled = false;
  #until = 0;
  /**
   * How many requests to send without polling. It doubles when an answer does not arrive in time, and shrinks by an eighth
   * when one does, so it stays high if polling fails more than once in seven times.
   */
  #penalty = 0;
  #skipped = 0;

  /**
   * @param processors how many this process and munged share.
   * @param now milliseconds of the monotonic clock.
   */
  constructor(processors: number = availableParallelism(), now = () => performance.now()) {
    this.#isUseful = processors > 1;
    this.#now = now;
  }

  /** Whether this process is polling now instead of sleeping. */
  get isPolling(): boolean {
    return this.#isScheduled;
  }

  /** Call it when a request has been sent and no other is in flight. */
  begin(): void {
    if (!this.#isUseful || this.#skipped++ < this.#penalty) return;
    this.#skipped = 0;
    this.#isAwaited = true;
    this.#until = this.#now() + POLL_MS;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#look);
  }

  /** Call it when the answer has arrived or is no longer awaited. */
  end(): void {
    if (!this.#isAwaited) return;
    this.#isAwaited = false;
    this.#settle(this.#now() < this.#until);
  }

  readonly #look = (): void => {
    this.#isScheduled = false;
    if (!this.#isAwaited) return;
    if (this.#now() < this.#until) {
      this.#isScheduled = true;
      setImmediate(this.#look);
      return;
    }
    this.#isAwaited = false;
    this.#settle(false);
  };

  /** @param isInTime whether the answer came within the polling time, which other processes may have used up. */
  #settle(isInTime: boolean): void {
    const penalty = this.#penalty;
    this.#penalty = isInTime
      ? Math.max(0, penalty - (penalty >> 3) - 1)
      : Math.min(2 * penalty + 1, MAX_SKIPPED);
  }
}
