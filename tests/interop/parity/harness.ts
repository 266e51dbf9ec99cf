// Runs cases, several at a time, and compares the outcomes with the record of MUNGE 0.5.18.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Area, type Case, type Chapter, commandsOf, markOf } from "./case.ts";
import { compareLines, type Difference } from "./compare.ts";
import { mask } from "./masks.ts";
import { recorded } from "./record.ts";
import { runInSandbox, type SharedDaemon, startSharedDaemon } from "./sandbox.ts";
import { MUNGEBOX } from "../../harness/programs.ts";

/** Sandboxes at a time, in addition to those that mostly wait. */
const AT_ONCE = 4;
/** How often to run a case whose outcome is not the expected one. */
const MOST_TRIES = 5;

/** One case and its place in the table. */
export interface Placed {
  readonly chapter: Chapter;
  readonly area: Area;
  readonly parityCase: Case;
}

/** Every case of `chapters`, in order. */
export function placeCases(chapters: readonly Chapter[]): Placed[] {
  return chapters.flatMap((chapter) =>
    chapter.areas.flatMap((area) => area.cases.map((parityCase) => ({ chapter, area, parityCase })))
  );
}

/** Cases that are being run. */
export interface Run<Result> {
  /** The result of each case, in order, as it becomes known. */
  readonly results: readonly Promise<Result>[];
  /** Settles when everything has run and is cleaned up. */
  readonly ended: Promise<void>;
}

/**
 * Starts running `cases` with our programs; each is compared with the record.
 *
 * @param isDocumented whether a case that differs does so as it should.
 */
export function runCases(
  cases: readonly Placed[],
  isDocumented: (placed: Placed, difference: Difference) => boolean = () => true,
): Run<Difference> {
  const programs = installPrograms();
  const run = start(cases, programs, async (placed, daemon) => {
    const reference = recorded(placed);
    if (reference === undefined) throw new Error("not recorded: bun scripts/parity.ts --record");
    for (let tries = 1;; tries++) {
      const ours = await outcomeOf(placed, programs, daemon);
      const difference = compareLines(mask(reference), ours);
      const isExpected = markOf(placed.parityCase) === undefined
        ? difference.reference.length + difference.ours.length === 0
        : isDocumented(placed, difference);
      // A busy machine may delay a line longer than a case waits; only a difference that persists counts.
      if (isExpected || tries === MOST_TRIES) return difference;
    }
  });
  return { ...run, ended: run.ended.then(() => rmSync(programs, { recursive: true })) };
}

/** Starts running `cases` with the programs in a directory. Returns the masked outcome of each. */
export function recordCases(cases: readonly Placed[], programs: string): Run<string[]> {
  return start(cases, programs, (placed, daemon) => outcomeOf(placed, programs, daemon));
}

function start<Result>(
  cases: readonly Placed[],
  programs: string,
  runCase: (placed: Placed, daemon: SharedDaemon) => Promise<Result>,
): Run<Result> {
  const daemon = startSharedDaemon(programs);
  const queue: (() => Promise<void>)[] = [];
  const results = cases.map((placed) =>
    new Promise<Result>((resolve, reject) => {
      const task = () => daemon.then((served) => runCase(placed, served)).then(resolve, reject);
      if (placed.area.waits) void task();
      else queue.push(task);
    })
  );
  for (let slot = 0; slot < AT_ONCE; slot++) void drain(queue);
  const ended = Promise.allSettled(results).then(async () => (await daemon).end());
  return { results, ended };
}

async function drain(queue: (() => Promise<void>)[]): Promise<void> {
  for (let task = queue.shift(); task !== undefined; task = queue.shift()) await task();
}

async function outcomeOf(
  { area, parityCase }: Placed,
  programs: string,
  daemon: SharedDaemon,
): Promise<string[]> {
  const commands = [area.before, commandsOf(parityCase)].filter(Boolean).join("\n");
  const network = area.network ?? false;
  return mask(
    await runInSandbox({ commands, network, programs, daemon: area.served ? daemon : undefined }),
  );
}

/** A directory in which our programs have the reference's names. */
export function installPrograms(): string {
  const directory = mkdtempSync(join(tmpdir(), "parity-programs-"));
  chmodSync(directory, 0o755);
  const { status, stderr } = spawnSync(MUNGEBOX, ["--install", directory], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${MUNGEBOX} --install: ${stderr}`);
  return directory;
}
