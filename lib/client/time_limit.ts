// Time limits that callers set, as the runtimes' timers can take them.
import { MungeError } from "../errors.ts";

/** The longest delay of a timer, 25 days; a longer one would be over at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * The delay of a timer for a limit in milliseconds; undefined for no limit, which Infinity is as well.
 *
 * @throws {MungeError} EMUNGE_BAD_ARG for what is no span of time.
 */
export function timerDelay(limitMs: number | undefined): number | undefined {
  if (limitMs === undefined || limitMs === Infinity) return undefined;
  if (!(limitMs >= 0)) throw new MungeError("EMUNGE_BAD_ARG", `Invalid time limit ${limitMs}`);
  return Math.min(limitMs, MAX_DELAY_MS);
}
