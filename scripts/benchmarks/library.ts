// Measures the library: encodes per second from one process, with 1 and with 64 calls in flight, in each runtime,
// and the same in C through libmunge, with as many threads; and what an encode costs munged. All use one munged, in turn.
// A server that does nothing but answer shows how much of the time and cost is the kernel's (library_floor.c).
import { rmSync } from "node:fs";
import { Munged, PROGRAMS } from "../../tests/mod/daemons.ts";
import { cpuSeconds } from "./idle.ts";
import { benchOptions } from "./options.ts";
import { median } from "./statistics.ts";

const OUTPUT = "dist/bench-lib";
const LIBMUNGE = "libmunge in C";
/** Seconds for which the library encodes before it is measured: a service runs for days, with compiled code. */
const WARM_UP = 1.5;

/** What was measured: encodes per second, and microseconds of the server's processor time for each. */
interface Measured {
  readonly rate: number;
  readonly cost: number;
}

/** One way to encode. */
interface Contestant {
  readonly name: string;
  /** Calls in flight at a time. */
  readonly inFlight: number;
  measure(munged: Munged, seconds: number): Measured;
}

/** All contestants on this machine; libmunge in C comes first. */
async function contestants(): Promise<readonly Contestant[]> {
  const build = Bun.spawnSync([process.execPath, "scripts/build_lib.ts"], {
    stdio: ["ignore", 2, 2],
  });
  if (!build.success) throw new Error("the library can't be built");
  await Bun.build({
    entrypoints: ["scripts/benchmarks/library_load.ts"],
    outdir: OUTPUT,
    target: "node",
    plugins: [{
      name: "the built library",
      setup({ onResolve }) {
        onResolve({ filter: /\/mod\.ts$/ }, () => ({ path: "../npm/mod.js", external: true }));
      },
    }],
  });
  const script = `${OUTPUT}/library_load.js`;
  const runtimes: readonly (readonly [name: string, command: readonly string[]])[] = [
    ["Bun", ["node_modules/.bin/bun", script]],
    ["Deno", ["node_modules/.bin/deno", "run", "--allow-all", "--quiet", script]],
    ["Node.js", ["node", script]],
  ];
  const libmunge = compiled("libmunge_load", "-lmunge");
  const floor = compiled("library_floor");
  const library = (name: string, command: readonly string[], width: number | "sync") => ({
    name,
    inFlight: width === "sync" ? 1 : width,
    measure: (munged: Munged, seconds: number) =>
      measured(munged, seconds + WARM_UP, [
        ...command,
        munged.socketPath,
        ...[width, seconds, WARM_UP].map(String),
      ]),
  });
  return [
    ...[1, 64].map((width) => ({
      name: LIBMUNGE,
      inFlight: width,
      measure: (munged: Munged, seconds: number) =>
        measured(munged, seconds, [libmunge, munged.socketPath, String(width), String(seconds)]),
    })),
    ...runtimes.flatMap(([name, command]) => [1, 64].map((width) => library(name, command, width))),
    library("Bun, encodeSync()", runtimes[0]![1], "sync"),
    ...["one-shot", "kept"].map((kind) => ({
      name: `no munged, ${kind}`,
      inFlight: 1,
      measure(_: Munged, seconds: number) {
        const [rate, cost] = output([floor, `${OUTPUT}/floor`, kind, String(seconds)]).split(" ");
        return { rate: Number(rate), cost: Number(cost) };
      },
    })),
  ];
}

/** Compiles a C program of this folder. Returns its path. */
function compiled(name: string, ...libraries: readonly string[]): string {
  const path = `${OUTPUT}/${name}`;
  output(["gcc", "-O2", "-pthread", "-o", path, `scripts/benchmarks/${name}.c`, ...libraries]);
  return path;
}

/** Microseconds of processor time that a process has used. */
function processorTime(pid: number): number {
  return cpuSeconds(pid) * 1e6;
}

/** Runs a program that encodes for this long in all, and prints its rate. */
function measured(munged: Munged, seconds: number, command: readonly string[]): Measured {
  const before = processorTime(munged.pid);
  const rate = Number(output(command));
  return { rate, cost: (processorTime(munged.pid) - before) / (rate * seconds) };
}

function output(command: readonly string[]): string {
  const { success, stdout, stderr } = Bun.spawnSync([...command], { timeout: 120_000 });
  if (!success) throw new Error(`${command[0]} failed: ${stderr}`);
  return stdout.toString();
}

async function main(): Promise<void> {
  const values = benchOptions("library");
  const all = await contestants();
  const munged = new Munged(PROGRAMS[values.munged === "ours" ? 0 : 1]!);
  try {
    await munged.start();
    const seconds = Number(values.seconds);
    const rounds: Measured[][] = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      rounds.push(all.map((contestant) => contestant.measure(munged, seconds)));
    }
    console.log(`encodes per second from one process, ${values.munged} munged, medians`);
    for (const [i, { name, inFlight }] of all.entries()) {
      const rate = median(rounds.map((round) => round[i]!.rate)).toFixed(0);
      const cost = median(rounds.map((round) => round[i]!.cost)).toFixed(1);
      const share = median(rounds.map((round) => round[i]!.cost / round[0]!.cost)).toFixed(2);
      console.log(
        `${name.padEnd(20)} ${String(inFlight).padStart(3)} in flight ${rate.padStart(7)}, ` +
          `${cost.padStart(5)} us of the server each, ${share} of that for ${LIBMUNGE}`,
      );
    }
  } finally {
    await munged.stop();
    rmSync(OUTPUT, { recursive: true, force: true });
  }
}

await main();
