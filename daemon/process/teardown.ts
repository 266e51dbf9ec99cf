// Taking down what a daemon's start has set up.
import { systemText } from "../../lib/os/system_text.ts";
import type { Logger } from "./log.ts";

/** The steps to take when the daemon ends or can't start: in reverse order, each even if others fail. */
export class Teardown {
  readonly #stack = new AsyncDisposableStack();
  readonly #log: Pick<Logger, "error">;

  constructor(log: Pick<Logger, "error">) {
    this.#log = log;
  }

  /** Adds a step; its failure is logged. */
  add(step: () => void | Promise<void>): void {
    this.#stack.defer(async () => {
      try {
        await step();
      } catch (error) {
        this.#log.error(systemText(error));
      }
    });
  }

  /** Whether it has begun; no step can be added any more. */
  get hasBegun(): boolean {
    return this.#stack.disposed;
  }

  disposeAsync(): Promise<void> {
    return this.#stack.disposeAsync();
  }
}
