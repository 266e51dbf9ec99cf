// munge --renew: keeps a valid credential in a file, for jobs that outlast any credential. A new one replaces the old one
// atomically when half of its time-to-live is over.
import { MungeError } from "../../lib/errors.ts";

/** Longest single wait, because the clock may be set or the machine suspended during one. */
const MAX_WAIT_MS = 5_000;
/** Pause after a failed renewal. */
const RETRY_MS = 1_000;

/**
 * Renews until SIGTERM, SIGINT or SIGHUP.
 *
 * @param renew puts a fresh credential in place and returns its time-to-live in seconds. The first failure is final; later
 * ones are reported and retried, because the current credential is still valid for a while.
 * @param report receives the text of a failure; repeated ones only once.
 */
export async function renewUntilStopped(
  renew: () => number,
  report: (text: string) => void,
): Promise<void> {
  let stopped = false;
  const { promise: stop, resolve } = Promise.withResolvers<void>();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(signal, () => {
      stopped = true;
      resolve();
    });
  }
  let due = dueAfter(renew());
  let reported = "";
  while (!stopped) {
    const wait = Math.max(0, Math.min(due.at - Date.now(), MAX_WAIT_MS));
    await Promise.race([stop, new Promise((done) => setTimeout(done, wait))]);
    // Otherwise a clock that was set back would leave the credential in place for too long.
    if (stopped || (Date.now() < due.at && Date.now() >= due.since)) continue;
    try {
      due = dueAfter(renew());
      reported = "";
    } catch (error) {
      if (!(error instanceof MungeError)) throw error;
      if (error.message !== reported) report(reported = error.message);
      due = { since: Date.now(), at: Date.now() + RETRY_MS };
    }
  }
}

/** When half of `ttl` seconds has passed, in milliseconds since the epoch. */
function dueAfter(ttl: number): { since: number; at: number } {
  const since = Date.now();
  return { since, at: since + ttl * 500 };
}
