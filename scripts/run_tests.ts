// The test command: runs the parts (test_parts.ts) in lanes side by side; its last line counts all tests.
// As root it installs missing peers (Debian's MUNGE and others). Tests whose peers are missing are skipped with a
// message, or fail when CI=true. A signal ends all parts, with everything they have started.
import { constants } from "node:os";
import { type Lane, type Part, PARTS } from "./test_parts.ts";
import { installPeers } from "./test_peers.ts";
import { endAll, run } from "./test_processes.ts";

const IN_CI = process.env["CI"] === "true";
const IS_ROOT = process.getuid?.() === 0;

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** How much of a failed part's output is repeated at the end, where it can't be missed; all of it is above. */
const COMPLAINT_LENGTH = 2000;

/** Counts in the closing lines of each runner, the last match of each pattern. */
const PATTERNS: Record<NonNullable<Part["counts"]>, Record<keyof Counts, RegExp>> = {
  bun: { passed: /^\s*(\d+) pass$/gm, failed: /^\s*(\d+) fail$/gm, skipped: /^\s*(\d+) skip$/gm },
  node: {
    passed: /^(?:#|ℹ) pass (\d+)$/gm,
    failed: /^(?:#|ℹ) fail (\d+)$/gm,
    skipped: /^(?:#|ℹ) skipped (\d+)$/gm,
  },
  deno: {
    passed: /(\d+) passed/g,
    failed: /(\d+) failed/g,
    skipped: /(\d+) ignored/g,
  },
};

/** Lines in which Bun reports the result of a test. */
const BUN_VERDICT = /^\((?:pass|fail|skip|todo)\) /;

/** A failed part's output about its first failure, which often causes the others; its last lines if it names none. */
function firstComplaint(part: Part, output: string): string {
  const lines = output.split("\n");
  const failure = part.counts === "bun" ? lines.findIndex((line) => line.startsWith("(fail)")) : -1;
  if (failure < 0) return output.slice(-COMPLAINT_LENGTH);
  const before = lines.slice(0, failure);
  const begin = before.findLastIndex((line) => BUN_VERDICT.test(line)) + 1;
  const complaint = before.slice(begin).join("\n");
  return complaint.length <= COMPLAINT_LENGTH
    ? complaint
    : `${complaint.slice(0, COMPLAINT_LENGTH)}\n[…]`;
}

/** The names of the failed tests, if the part's runner reports them. */
function failures(part: Part, output: string): string[] {
  if (part.counts !== "bun") return [];
  return [...new Set(output.split("\n").filter((line) => line.startsWith("(fail) ")))];
}

/** The counts in a part's last lines. A runner that counts no test, or fails without counting a failure, has failed. */
function countsOf(part: Part, status: number | null, output: string): Counts {
  if (part.counts === undefined) {
    return { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, skipped: 0 };
  }
  const patterns = PATTERNS[part.counts];
  const count = (pattern: RegExp) => Number([...output.matchAll(pattern)].at(-1)?.[1] ?? 0);
  const counts = {
    passed: count(patterns.passed),
    failed: count(patterns.failed),
    skipped: count(patterns.skipped),
  };
  if ((status !== 0 || counts.passed + counts.skipped === 0) && counts.failed === 0) {
    counts.failed = 1;
  }
  return counts;
}

const chosen = process.argv.slice(2);
if (chosen.includes("--list")) {
  console.log(PARTS.map(({ name }) => name).join("\n"));
  process.exit(0);
}
const unknown = chosen.filter((name) => !PARTS.some((part) => part.name === name));
if (unknown.length > 0) {
  console.error(`scripts/test: Error: Unknown part "${unknown[0]}" (--list names them)`);
  process.exit(1);
}

const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const missing = await installPeers(chosen);
for (const name of missing) {
  console.log(`SKIP: tests that need Debian's ${name}, which is not installed`);
}
if (!IS_ROOT) {
  console.log("SKIP: tests that need root, for other users, mounts, namespaces and limits");
}
if (missing.length > 0 && IN_CI) {
  console.log("In CI, no peer may be missing.");
  total.failed += missing.length;
}
const failed: { part: Part; output: string }[] = [];

/** Output of the other lanes, until it is printed. */
let kept = "";

function printKept(): void {
  process.stdout.write(kept);
  kept = "";
}

/** Runs a part and adds its counts. */
async function runPart(part: Part): Promise<void> {
  const started = performance.now();
  const title = `\n== ${part.name}${part.lane === undefined ? "" : ` (beside others)`}`;
  if (part.lane === undefined) console.log(title);
  const { status, output } = await run(
    part.command,
    {},
    part.lane === undefined ? undefined : () => {},
  );
  const counts = countsOf(part, status, output);
  for (const key of ["passed", "failed", "skipped"] as const) total[key] += counts[key];
  if (counts.failed > 0) failed.push({ part, output });
  const end = `== ${part.name}: ${((performance.now() - started) / 1000).toFixed(1)} s`;
  if (part.lane === undefined) {
    console.log(end);
    printKept();
  } else kept += `${title}\n${output}${end}\n`;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, async () => {
    printKept();
    console.log(`\nEnding all parts because of ${signal}`);
    await endAll();
    process.exit(128 + constants.signals[signal]);
  });
}

const lanes = new Map<Lane, Promise<void>>();
for (const part of PARTS) {
  if (chosen.length > 0 ? !chosen.includes(part.name) : part.onlyByName) continue;
  if (part.lane === undefined) await runPart(part);
  else {
    const before = lanes.get(part.lane) ?? Promise.resolve();
    lanes.set(part.lane, before.then(() => runPart(part)));
  }
}
await Promise.all(lanes.values());
printKept();
for (const { part, output } of failed) {
  console.log(`\n== failed in ${part.name}\n${firstComplaint(part, output)}`);
}
if (failed.length > 0) {
  console.log(`\nFailed: ${failed.map(({ part }) => part.name).join(", ")}`);
  // Only names at the very end, so that the last lines show all of them.
  for (const { part, output } of failed) {
    for (const name of failures(part, output)) console.log(`  ${part.name}: ${name}`);
  }
}
const skipped = total.skipped === 0 ? "" : `, ${total.skipped} skipped`;
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
process.exit(total.failed === 0 ? 0 : 1);
