// Suites that need something from the system, such as the reference or root. Without it, they are reported as skipped.
import { describe, it } from "node:test";

/**
 * Runs the tests that `body` declares, or one skipped test that says what is missing; Bun silently ignores a skipped
 * describe().
 *
 * @param needs what the tests need, in words, and whether it is available; or why they can't run, and false if they can.
 */
export function suite(
  name: string,
  needs: Readonly<Record<string, boolean>> | string | false,
  body: () => void,
): void {
  const why = typeof needs === "object" ? reason(needs) : needs;
  if (why === false) describe(name, body);
  else it(`${name}: skipped (${why})`, { skip: true }, () => {});
}

function reason(needs: Readonly<Record<string, boolean>>): string | false {
  const missing = Object.keys(needs).filter((need) => !needs[need]);
  return missing.length > 0 && `needs ${missing.join(" and ")}`;
}
