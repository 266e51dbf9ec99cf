// What MUNGE 0.5.18 does in each case: the masked lines of a run of its programs in the sandbox. For new cases,
// `bun scripts/parity.ts --record DIRECTORY` adds them.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandsOf } from "./case.ts";
import type { Placed } from "./harness.ts";

const FILE = join(import.meta.dirname, "munge-0.5.18.json");

/** Lines by chapter, area and commands. */
const record: Record<string, string[]> = JSON.parse(readFileSync(FILE, "utf8"));

function keyOf({ chapter, area, parityCase }: Placed): string {
  return `${chapter.title} | ${area.title} | ${commandsOf(parityCase)}`;
}

/** What the reference does in a case; undefined if not recorded yet. */
export function recorded(placed: Placed): readonly string[] | undefined {
  return record[keyOf(placed)];
}

/** Adds what the reference did in cases, and drops entries that belong to none of `all`. */
export function extendRecord(
  added: readonly (readonly [Placed, readonly string[]])[],
  all: readonly Placed[],
): void {
  for (const [placed, lines] of added) record[keyOf(placed)] = [...lines];
  const kept = all.map(keyOf).filter((key) => record[key] !== undefined);
  const lines = Object.fromEntries(kept.map((key) => [key, record[key]]));
  writeFileSync(FILE, `${JSON.stringify(lines, null, 2)}\n`);
}
