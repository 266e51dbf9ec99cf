// munged's signals: SIGHUP makes it read its files again, SIGTERM and SIGINT end it.
import { constants } from "node:os";
import { signalText } from "../../lib/os/process.ts";
import { systemText } from "../../lib/os/system_text.ts";
import type { Logger } from "../process/log.ts";

/** munged's handling of signals. */
export interface Signals {
  /** Settles with the exit status when one ends munged. */
  readonly ended: Promise<number>;
  /** Whether one has. */
  isEnding: boolean;
  /** The steps on SIGHUP; each is taken even if an earlier one fails. */
  reload: readonly (() => void)[];
}

/** Catches signals from now on, because they may arrive even before munged has started completely. */
export function catchSignals(log: Logger): Signals {
  const { promise: ended, resolve } = Promise.withResolvers<number>();
  const signals: Signals = { ended, isEnding: false, reload: [] };
  process.on("SIGHUP", () => {
    if (signals.reload.length === 0) return;
    log.notice(`Processing signal ${constants.signals.SIGHUP} (${signalText(1)})`);
    for (const step of signals.reload) {
      try {
        step();
      } catch (error) {
        log.error(systemText(error));
      }
    }
  });
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    // The handler stays, so that a second signal does not cut the orderly shutdown short.
    process.on(name, () => {
      if (signals.isEnding) return;
      signals.isEnding = true;
      const number = constants.signals[name];
      log.notice(`Exiting on signal ${number} (${signalText(number)})`);
      resolve(0);
    });
  }
  return signals;
}
