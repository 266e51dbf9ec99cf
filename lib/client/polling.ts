// Polls for the answer to a single request, for a moment, before the process sleeps. On an idle machine the processors sleep as
// well, and then it takes longer to wake munged's for the request and this one for the answer than munged takes to make it;
// the one that wakes the other pays for it. What arrives is read by the event loop as always.
import { availableParallelism } from "node:os";
import { setImmediate } from "node:timers";

/** For how long to poll, in milliseconds: a few times as long as an idle munged takes. */
const POLL_MS = 0.08;
/** The most requests to send without polling after the answer did not come in time. */
const MOST_SKIPPED = 1023;

/** The polling for the answers over one connection. */
export class Polling {
  /** Whether munged can make an answer while this process polls for it. */
  readonly #isUseful: boolean;
  readonly #now: () => number;
  #isAwaited = false;
  #isScheduled = false;
  #until = 0;
  /**
   * How many requests to send without polling. It doubles when the answer does not come in time, and shrinks by an eighth
   * when it does, so it stays high if polling fails more than one time in seven.
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

  /** Whether this process does not sleep now. */
  get isPolling(): boolean {
    return this.#isScheduled;
  }

  /** To be called when a request has been sent, and no other is in flight. */
  begin(): void {
    if (!this.#isUseful || this.#skipped++ < this.#penalty) return;
    this.#skipped = 0;
    this.#isAwaited = true;
    this.#until = this.#now() + POLL_MS;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#look);
  }

  /** To be called when the answer has arrived, or no answer is awaited any more. */
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

  /** @param isInTime whether the answer came in the time for which to poll; other processes may have used that. */
  #settle(isInTime: boolean): void {
    const penalty = this.#penalty;
    this.#penalty = isInTime
      ? Math.max(0, penalty - (penalty >> 3) - 1)
      : Math.min(2 * penalty + 1, MOST_SKIPPED);
  }
}
