// Suites that need something from the system, such as the reference or root. Without it, they are reported as skipped.
import { describe, it } from "node:test";

/**
 * Runs the tests that `body` declares, or one skipped test that says what is missing; Bun silently ignores a skipped
 * describe().
 *
 * @param needs what the tests need, in words, and whether it is available.
 */
export function suite(
  name: string,
  needs: Readonly<Record<string, boolean>>,
  body: () => void,
): void {
  const missing = Object.keys(needs).filter((need) => !needs[need]);
  if (missing.length === 0) describe(name, body);
  else it(`${name}: skipped, because it needs ${missing.join(" and ")}`, { skip: true }, () => {});
}
