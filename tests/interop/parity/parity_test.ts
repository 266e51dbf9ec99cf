// Compares every case of the table with the reference, and the differences with the page that documents them:
// `bun scripts/parity.ts --update` writes it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { after, test } from "node:test";
import { commandsOf, markOf } from "./case.ts";
import { CHAPTERS } from "./chapters.ts";
import type { Difference } from "./compare.ts";
import { renderFinding, renderPage } from "./document.ts";
import { placeCases, type Placed, runCases } from "./harness.ts";
import { MUNGEBOX } from "../../harness/programs.ts";

const LEAST_CASES = 250;
const PAGE = "docs/parity.md";
// Some cases start Debian's daemon as well.
const canRun = process.getuid?.() === 0 && existsSync("/usr/sbin/munged");
const options = canRun ? {} : { skip: "needs root and Debian's munge" };

const cases = placeCases(CHAPTERS);
const page = readFileSync(PAGE, "utf8");
const isDocumented = (placed: Placed, difference: Difference) =>
  page.includes(renderFinding({ ...placed, difference }));
const { results, ended } = canRun
  ? runCases(cases, isDocumented)
  : { results: [], ended: Promise.resolve() };
after(() => ended);

cases.forEach((placed, index) => {
  const { chapter, area, parityCase } = placed;
  test(`${chapter.title} ${area.title}: ${commandsOf(parityCase)}`, options, async () => {
    const difference = await results[index]!;
    if (markOf(parityCase) === undefined) {
      assert.deepEqual(difference, { reference: [], ours: [] });
      return;
    }
    assert.notDeepEqual(difference, { reference: [], ours: [] }, "it does not differ");
    const found = renderFinding({ ...placed, difference });
    assert.ok(isDocumented(placed, difference), `not in ${PAGE}:\n${found}`);
  });
});

test(`the table has at least ${LEAST_CASES} different cases`, () => {
  const texts = cases.map(({ chapter, area, parityCase }) =>
    `${chapter.title} ${area.title} ${commandsOf(parityCase)}`
  );
  assert.ok(texts.length >= LEAST_CASES, `${texts.length}`);
  assert.deepEqual(texts.filter((text, index) => texts.indexOf(text) !== index), []);
});

test("every option of every program of the reference has cases", options, () => {
  for (const program of ["munge", "unmunge", "munged", "mungekey", "remunge"]) {
    const { stdout } = spawnSync(program, ["--help"], { encoding: "utf8" });
    const chapter = CHAPTERS.find(({ title }) => title === program);
    const titles = chapter?.areas.map(({ title }) => title).join("\n") ?? "";
    const named = [...stdout.matchAll(/^ {2}.*?(--[a-z-]+)/gm)].map(([, option]) => option!);
    assert.ok(named.length > 5, program);
    const missing = named.filter((option) => !new RegExp(`${option}(?![a-z-])`).test(titles));
    assert.deepEqual(missing, [], program);
  }
});

test(`${PAGE} documents this run`, options, async () => {
  const findings = await Promise.all(
    cases.map(async (placed, index) => ({ ...placed, difference: await results[index]! })),
  );
  assert.equal(page, renderPage(findings));
});

test("the executable under test has our programs", options, () => {
  const { stdout } = spawnSync(MUNGEBOX, ["munge", "--version"], { encoding: "utf8" });
  assert.match(stdout, /mungebox/);
});
