// Waiting for what happens by itself.
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

/** Far longer than anything takes that works, even on a busy machine. */
const PATIENCE_MS = 120_000;

/**
 * Waits until something holds.
 *
 * @param what what is waited for, in words.
 * @throws {Error} if it does not hold in time.
 */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!await holds()) {
    assert(performance.now() < deadline, `in vain: ${what}`);
    await pause(20);
  }
}
