// Whose turn it is to get a large reply. libkrb5 makes a KRB-PRIV in one piece, from a payload in one piece, so the memory
// of several DUMPs at once can be bounded only by making one after another.

/** How long a slow reader keeps others waiting. */
const HOLD_MS = 10_000;

/** Grants turns in the order in which they are requested. */
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
   * @returns a function that ends the turn, to be called when the reply has been sent or never will be. The turn also
   * ends by itself after a while.
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
      // Later, when this reply's memory has been collected.
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
