// Runs the parity cases whose commands or titles contain all the given texts (every case without one) and
// shows where our programs differ unexpectedly; --update writes docs/parity.md anew, --all shows all.
import { readFileSync, writeFileSync } from "node:fs";
import { commandsOf, markOf } from "../tests/interop/parity/case.ts";
import { CHAPTERS } from "../tests/interop/parity/chapters.ts";
import { renderFinding, renderPage } from "../tests/interop/parity/document.ts";
import { placeCases, runCases } from "../tests/interop/parity/harness.ts";

const PAGE = "docs/parity.md";
const words = process.argv.slice(2);
const texts = words.filter((word) => !word.startsWith("--"));
const chosen = placeCases(CHAPTERS).filter(({ chapter, area, parityCase }) =>
  texts.every((text) => `${chapter.title}\n${area.title}\n${commandsOf(parityCase)}`.includes(text))
);
const run = runCases(chosen);
const differences = await Promise.all(run.differences);
await run.ended;
const findings = chosen.map((placed, index) => ({ ...placed, difference: differences[index]! }));
if (words.includes("--update") && texts.length === 0) writeFileSync(PAGE, renderPage(findings));
const page = readFileSync(PAGE, "utf8");
let unexpected = 0;
for (const finding of findings) {
  const { chapter, area, parityCase, difference } = finding;
  const differs = difference.reference.length + difference.ours.length > 0;
  const shown = renderFinding(finding);
  const isExpected = differs === (markOf(parityCase) !== undefined) &&
    (!differs || page.includes(shown));
  if (!isExpected) unexpected++;
  if (!isExpected || (differs && words.includes("--all"))) {
    console.log(`\n[${chapter.title} ${area.title}]\n${shown}`);
  }
}
console.log(`${findings.length} cases, ${unexpected} unexpected`);
process.exit(unexpected === 0 ? 0 : 1);
