// Runs cases with both sets of programs, several at a time.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Area, type Case, type Chapter, commandsOf, markOf } from "./case.ts";
import { compareLines, type Difference } from "./compare.ts";
import { mask } from "./masks.ts";
import { runInSandbox, type SharedDaemon, startSharedDaemon } from "./sandbox.ts";

/** Sandboxes at a time; those that mostly wait come on top. */
const AT_ONCE = 4;
/** How often a case that should end alike on both sides is run, if it does not. */
const MOST_TRIES = 3;

/** The executable under test. */
export const MUNGEBOX = resolve(process.env["MUNGEBOX"] ?? "dist/mungebox");

/** One case and where it stands. */
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
export interface Run {
  /** The difference of each case, in order, as it becomes known. */
  readonly differences: readonly Promise<Difference>[];
  /** Settles when all is over and cleared away. */
  readonly ended: Promise<void>;
}

/** Starts running `cases`. */
export function runCases(cases: readonly Placed[]): Run {
  const programs = installPrograms();
  const sides = Promise.all([undefined, programs].map(prepareSide));
  const queue: (() => Promise<void>)[] = [];
  const differences = cases.map((placed) =>
    new Promise<Difference>((resolve, reject) => {
      const task = () => sides.then((both) => runCase(placed, both)).then(resolve, reject);
      if (placed.area.waits) void task();
      else queue.push(task);
    })
  );
  for (let slot = 0; slot < AT_ONCE; slot++) void drain(queue);
  const ended = Promise.allSettled(differences).then(async () => {
    await Promise.all((await sides).map(({ daemon }) => daemon.end()));
    rmSync(programs, { recursive: true });
  });
  return { differences, ended };
}

async function drain(queue: (() => Promise<void>)[]): Promise<void> {
  for (let task = queue.shift(); task !== undefined; task = queue.shift()) await task();
}

/** The reference, or ours. */
interface Side {
  readonly programs: string | undefined;
  readonly daemon: SharedDaemon;
}

async function prepareSide(programs: string | undefined): Promise<Side> {
  return { programs, daemon: await startSharedDaemon(programs) };
}

/**
 * Runs a case on both sides. One that should end alike and does not is run again: now and then the reference
 * loses a signal that comes as it starts, and is killed for it. What differs each time is a difference.
 */
async function runCase(placed: Placed, sides: readonly Side[]): Promise<Difference> {
  for (let tries = 1;; tries++) {
    const difference = await runOnce(placed, sides);
    const isSame = difference.reference.length + difference.ours.length === 0;
    if (isSame || tries === MOST_TRIES || markOf(placed.parityCase) !== undefined) {
      return difference;
    }
  }
}

async function runOnce({ area, parityCase }: Placed, sides: readonly Side[]): Promise<Difference> {
  const commands = [area.before, commandsOf(parityCase)].filter(Boolean).join("\n");
  const network = area.network ?? false;
  const [reference = [], ours = []] = await Promise.all(
    sides.map(({ programs, daemon }) =>
      runInSandbox({ commands, network, programs, daemon: area.served ? daemon : undefined })
    ),
  );
  return compareLines(mask(reference), mask(ours));
}

/** A directory in which our programs have the reference's names. */
export function installPrograms(): string {
  const directory = mkdtempSync(join(tmpdir(), "parity-programs-"));
  chmodSync(directory, 0o755);
  const { status, stderr } = spawnSync(MUNGEBOX, ["--install", directory], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${MUNGEBOX} --install: ${stderr}`);
  return directory;
}
