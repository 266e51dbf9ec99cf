// munge --renew: keeps a file filled with a credential that is valid, for jobs longer than any credential
// lives. A new one takes the old one's place in one step, at half its time.
import { MungeError } from "../../lib/errors.ts";

/** Longest wait at once: the clock may be set, and the machine may sleep, between two looks at it. */
const MAX_WAIT_MS = 5_000;
/** Pause after a renewal that failed. */
const RETRY_MS = 1_000;

/**
 * Renews until SIGTERM, SIGINT or SIGHUP.
 *
 * @param renew puts a fresh credential in place; its time-to-live in seconds. The first failure ends all;
 * later ones are reported and tried again, as the credential in place is good for a while yet.
 * @param report takes the text of a failure; one that repeats is told once.
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
    // A clock that was set back would otherwise leave the credential in place for too long.
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
