// docs/parity.md: the results of a run of all cases, as a page.
import { type Area, type Chapter, commandsOf, type Mark, markOf, MARKS } from "./case.ts";
import type { Difference } from "./compare.ts";
import type { Placed } from "./harness.ts";
import { MASKS } from "./masks.ts";

/** A case and the result of its run. */
export interface Finding extends Placed {
  readonly difference: Difference;
}

const HEADINGS: Readonly<Record<Mark, { verdict: string; heading: string; text: string }>> = {
  better: {
    verdict: "better",
    heading: "Better",
    text: "Where the reference does something that can't be intended.",
  },
  differs: {
    verdict: "different on purpose",
    heading: "Different on purpose",
    text: "Deliberate deviations that you might notice.",
  },
};

/** The page for `findings`. */
export function renderPage(findings: readonly Finding[]): string {
  const chapters = [...new Set(findings.map(({ chapter }) => chapter))];
  const same = findings.filter(({ parityCase }) => markOf(parityCase) === undefined).length;
  return [
    "# Parity with the reference",
    "",
    "The reference is MUNGE 0.5.18. `tests/interop/parity/munge-0.5.18.json` records what it does in each",
    "case. The parity tests run the same cases with our programs and generate this page from the results:",
    "",
    "    bun scripts/parity.ts --update",
    "",
    "Each case is a shell command that runs in its own sandbox. Output, exit status, files (mode, owner,",
    "contents, including log lines) and processes left behind are compared line by line. The manual pages",
    "describe the options that only our programs have.",
    "",
    `${findings.length} cases: ${same} with the same outcome, ${
      findings.length - same
    } with a difference explained below.`,
    "",
    ...chapters.flatMap((chapter) => renderChapter(chapter, findings)),
    ...MARKS.flatMap((mark) => renderMark(mark, findings)),
    "## What is not compared",
    "",
    ...renderTable(["Mask", "Why"], MASKS.map(({ name, why }) => [name, why])),
    "",
  ].join("\n");
}

/** One case that differs, as shown on the page. */
export function renderFinding({ area, parityCase, difference }: Finding): string {
  const before = area.before === undefined ? "" : `${area.before}; `;
  return [
    ...`${before}${commandsOf(parityCase)}`.split("\n").map((line) => `$ ${line}`),
    ...difference.reference.map((line) => `- ${line}`),
    ...difference.ours.map((line) => `+ ${line}`),
  ].join("\n");
}

function renderChapter(chapter: Chapter, findings: readonly Finding[]): string[] {
  return [
    `## ${chapter.title}`,
    "",
    ...renderTable(
      ["Option or subject", "Cases", "Verdict"],
      chapter.areas.map((area) => [
        area.title,
        `${count(area, findings)}`,
        verdictOn(area, findings),
      ]),
    ),
    "",
  ];
}

/** A table with its columns aligned. */
function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => row[column]!.length))
  );
  const renderRow = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [
    renderRow(head),
    renderRow(widths.map((width) => "-".repeat(width))),
    ...rows.map(renderRow),
  ];
}

function count(area: Area, findings: readonly Finding[]): number {
  return findings.filter((finding) => finding.area === area).length;
}

/** "same", unless cases are marked: then each mark with the number of its cases. */
function verdictOn(area: Area, findings: readonly Finding[]): string {
  const marks = findings.filter((finding) => finding.area === area)
    .map(({ parityCase }) => markOf(parityCase)?.mark);
  const verdicts = MARKS.filter((mark) => marks.includes(mark)).map((mark) =>
    `${HEADINGS[mark].verdict} (${marks.filter((other) => other === mark).length})`
  );
  if (marks.includes(undefined)) verdicts.unshift("same");
  return verdicts.join(", ");
}

function renderMark(mark: Mark, findings: readonly Finding[]): string[] {
  const byReason = Map.groupBy(
    findings.filter(({ parityCase }) => markOf(parityCase)?.mark === mark),
    ({ parityCase }) => markOf(parityCase)!.reason,
  );
  if (byReason.size === 0) return [];
  const { heading, text } = HEADINGS[mark];
  return [
    `## ${heading}`,
    "",
    text,
    "",
    ...[...byReason].flatMap(([reason, marked]) => [
      `### ${reason}`,
      "",
      "```diff",
      ...marked.map(renderFinding),
      "```",
      "",
    ]),
  ];
}
