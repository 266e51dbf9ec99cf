// Runs the parity cases whose commands or titles contain all the given texts (by default every case) and shows
// unexpected differences. --all shows all differences; --update rewrites docs/parity.md. --record DIRECTORY runs
// cases that have no record yet with the programs of MUNGE 0.5.18 in DIRECTORY, and records what they do.
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { commandsOf, markOf } from "../tests/interop/parity/case.ts";
import { CHAPTERS } from "../tests/interop/parity/chapters.ts";
import { renderFinding, renderPage } from "../tests/interop/parity/document.ts";
import { placeCases, recordCases, runCases } from "../tests/interop/parity/harness.ts";
import { extendRecord, recorded } from "../tests/interop/parity/record.ts";

const PAGE = "docs/parity.md";
const { values, positionals: texts } = parseArgs({
  allowPositionals: true,
  options: {
    all: { type: "boolean", default: false },
    record: { type: "string" },
    update: { type: "boolean", default: false },
  },
});
const cases = placeCases(CHAPTERS);
const chosen = cases.filter(({ chapter, area, parityCase }) =>
  texts.every((text) => `${chapter.title}\n${area.title}\n${commandsOf(parityCase)}`.includes(text))
);
if (values.record !== undefined) {
  const fresh = chosen.filter((placed) => recorded(placed) === undefined);
  const run = recordCases(fresh, resolve(values.record));
  const lines = await Promise.all(run.results);
  await run.ended;
  extendRecord(fresh.map((placed, index) => [placed, lines[index]!]), cases);
  console.log(`${fresh.length} cases recorded`);
  process.exit(0);
}
const run = runCases(chosen);
const differences = await Promise.all(run.results);
await run.ended;
const findings = chosen.map((placed, index) => ({ ...placed, difference: differences[index]! }));
if (values.update && texts.length === 0) writeFileSync(PAGE, renderPage(findings));
const page = readFileSync(PAGE, "utf8");
let unexpected = 0;
for (const finding of findings) {
  const { chapter, area, parityCase, difference } = finding;
  const differs = difference.reference.length + difference.ours.length > 0;
  const shown = renderFinding(finding);
  const isExpected = differs === (markOf(parityCase) !== undefined) &&
    (!differs || page.includes(shown));
  if (!isExpected) unexpected++;
  if (!isExpected || (differs && values.all)) {
    console.log(`\n[${chapter.title} ${area.title}]\n${shown}`);
  }
}
console.log(`${findings.length} cases, ${unexpected} unexpected`);
process.exit(unexpected === 0 ? 0 : 1);
