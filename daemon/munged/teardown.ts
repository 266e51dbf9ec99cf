// Taking down what a start has set up.
import { systemText } from "../../lib/os/system_text.ts";
import type { Logger } from "../process/log.ts";

/** The steps to take when munged ends or can't start: in reverse order, each even if others fail. */
export class Teardown {
  readonly #stack = new AsyncDisposableStack();
  readonly #log: Logger;

  constructor(log: Logger) {
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

  disposeAsync(): Promise<void> {
    return this.#stack.disposeAsync();
  }
}
