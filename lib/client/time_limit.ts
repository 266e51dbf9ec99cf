// Time limits set by callers, in the form that the runtimes' timers take.
import { MungeError } from "../errors.ts";

/** The longest delay of a timer, 25 days; a longer one would expire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * The delay of a timer for a limit in milliseconds; undefined for no limit, as for Infinity.
 *
 * @throws {MungeError} EMUNGE_BAD_ARG for an invalid duration.
 */
export function timerDelay(limitMs: number | undefined): number | undefined {
  if (limitMs === undefined || limitMs === Infinity) return undefined;
  if (!(limitMs >= 0)) throw new MungeError("EMUNGE_BAD_ARG", `Invalid time limit ${limitMs}`);
  return Math.min(limitMs, MAX_DELAY_MS);
}
