// Time limits set by callers, in the form that the runtimes' timers take.
import { MungeError } from "../errors.ts";
import { MAX_TIMER_MS } from "../timer.ts";
import { onAbort } from "./abort.ts";

/**
 * The delay of a timer for a limit in milliseconds; undefined for no limit, as for Infinity.
 *
 * @throws {MungeError} EMUNGE_BAD_ARG for an invalid duration.
 */
export function timerDelay(limitMs: number | undefined): number | undefined {
  if (limitMs === undefined || limitMs === Infinity) return undefined;
  if (!(limitMs >= 0)) throw new MungeError("EMUNGE_BAD_ARG", `Invalid time limit ${limitMs}`);
  return Math.min(limitMs, MAX_TIMER_MS);
}

/** The abort reason of {@linkcode withDeadline} when time has run out. */
export class Deadline extends Error {}

/** Runs `task` with a signal that also ends it after `timeoutMs`. */
export async function withDeadline<T>(
  timeoutMs: number,
  task: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  const controller = new AbortController();
  const aborted = () => controller.abort(signal!.reason);
  if (signal?.aborted) aborted();
  const stopListening = onAbort(signal, aborted);
  const timer = setTimeout(() => controller.abort(new Deadline()), timeoutMs);
  try {
    return await task(controller.signal);
  } catch (error) {
    throw error instanceof Deadline ? new MungeError("EMUNGE_TIMEOUT") : error;
  } finally {
    clearTimeout(timer);
    stopListening();
  }
}
