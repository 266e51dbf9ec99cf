// Whose turn it is to get a large reply. libkrb5 makes a KRB-PRIV in one piece, from a payload in one piece, so that the
// only bound to the memory of several DUMPs at once is to make one after another.

/** How long a slow reader keeps others waiting. */
const HOLD_MS = 10_000;

/** The turns, in the order in which they are asked for. */
export class ReplyTurns {
  readonly #holdMs: number;
  readonly #waiting: (() => void)[] = [];
  #isTaken = false;

  /** @param holdMs how long a turn may take while others wait. */
  constructor(holdMs: number = HOLD_MS) {
    this.#holdMs = holdMs;
  }

  /**
   * Waits for a turn.
   *
   * @returns ends the turn, which ends by itself after a while; to be called when the reply has been sent, or never will be.
   */
  take(): Promise<() => void> {
    return new Promise((resolve) => {
      this.#waiting.push(() => resolve(this.#begin()));
      this.#next();
    });
  }

  #begin(): () => void {
    let isOver = false;
    const end = () => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      this.#isTaken = false;
      // By then, the memory of this one has been collected.
      setImmediate(() => this.#next());
    };
    const timer = setTimeout(end, this.#holdMs);
    return end;
  }

  #next(): void {
    if (this.#isTaken) return;
    const begin = this.#waiting.shift();
    if (begin === undefined) return;
    this.#isTaken = true;
    begin();
  }
}
