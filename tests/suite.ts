// Suites that need something of the system, as the reference or root: without it, they are seen to be skipped.
import { describe, it } from "node:test";

/**
 * Runs the tests that `body` declares, or one skipped test that says what they lack; Bun passes over a
 * skipped describe() in silence.
 *
 * @param needs what the tests need, in words, and whether it is there.
 */
export function suite(
  name: string,
  needs: Readonly<Record<string, boolean>>,
  body: () => void,
): void {
  const missing = Object.keys(needs).filter((need) => !needs[need]);
  if (missing.length === 0) describe(name, body);
  else it(`${name}: skipped for want of ${missing.join(" and ")}`, { skip: true }, () => {});
}
