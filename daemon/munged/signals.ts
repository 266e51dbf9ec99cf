// The signals that munged obeys: SIGHUP has it read its files again, SIGTERM and SIGINT end it.
import { constants } from "node:os";
import { signalText } from "../../lib/os/process.ts";
import { systemText } from "../../lib/os/system_text.ts";
import type { Logger } from "../process/log.ts";

/** What became of the signals. */
export interface Signals {
  /** Settles with the exit status when one ends munged. */
  readonly ended: Promise<number>;
  /** What SIGHUP asks for, step by step: one that fails doesn't keep the next ones from being taken. */
  reload: readonly (() => void)[];
}

/** Catches signals from now on: anyone who can reach munged may send some, even before it has started. */
export function catchSignals(log: Logger): Signals {
  const { promise: ended, resolve } = Promise.withResolvers<number>();
  const signals: Signals = { ended, reload: [] };
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
  let isEnding = false;
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    // The handler stays: a second signal must not cut the orderly end short.
    process.on(name, () => {
      if (isEnding) return;
      isEnding = true;
      const number = constants.signals[name];
      log.notice(`Exiting on signal ${number} (${signalText(number)})`);
      resolve(0);
    });
  }
  return signals;
}
