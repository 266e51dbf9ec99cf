// Measures the library: encodes per second from one process, with 1 and with 64 calls in flight, in each runtime,
// and the same in C through libmunge, with as many threads; and what an encode costs munged. All use one munged, in turn.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { Munged, PROGRAMS } from "../tests/mod/daemons.ts";
import { benchOptions } from "./bench_options.ts";
import { median } from "./bench_statistics.ts";

const OUTPUT = "dist/bench-lib";
/** A tick of /proc/PID/stat. */
const TICK_US = 10_000;
/** Seconds for which the library warms up, in addition to those measured (bench_lib_load.ts). */
const WARM_UP = 0.3;

/** One way to encode. */
export interface Contestant {
  readonly name: string;
  /** Calls in flight at a time. */
  readonly inFlight: number;
  /** Seconds for which it encodes before it is measured. */
  readonly warmUp: number;
  /** Encodes per second with the munged at this socket. */
  measure(socketPath: string, seconds: number): number;
}

/** All contestants on this machine; libmunge in C comes first, if there is a compiler and the header. */
export async function contestants(): Promise<readonly Contestant[]> {
  const build = Bun.spawnSync([process.execPath, "scripts/build_lib.ts"], {
    stdio: ["ignore", 2, 2],
  });
  if (!build.success) throw new Error("the library can't be built");
  await Bun.build({
    entrypoints: ["scripts/bench_lib_load.ts"],
    outdir: OUTPUT,
    target: "node",
    plugins: [{
      name: "the built library",
      setup({ onResolve }) {
        onResolve({ filter: /\/mod\.ts$/ }, () => ({ path: "../npm/mod.js", external: true }));
      },
    }],
  });
  const script = `${OUTPUT}/bench_lib_load.js`;
  const runtimes: readonly (readonly [name: string, command: readonly string[]])[] = [
    ["Bun", ["node_modules/.bin/bun", script]],
    ["Deno", ["node_modules/.bin/deno", "run", "--allow-all", "--quiet", script]],
    ["Node.js", ["node", script]],
  ];
  const libmunge = compiled();
  return [
    ...(libmunge === undefined ? [] : [1, 64].map((width) => ({
      name: "libmunge in C",
      warmUp: 0,
      inFlight: width,
      measure: (socketPath: string, seconds: number) =>
        rate([libmunge, socketPath, String(width), String(seconds)]),
    }))),
    ...runtimes.flatMap(([name, command]) =>
      [1, 64].map((width) => ({
        name,
        warmUp: WARM_UP,
        inFlight: width,
        measure: (socketPath: string, seconds: number) =>
          rate([...command, socketPath, String(width), String(seconds)]),
      }))
    ),
    {
      name: "Bun, encodeSync()",
      warmUp: WARM_UP,
      inFlight: 1,
      measure: (socketPath, seconds) =>
        rate([...runtimes[0]![1], socketPath, "sync", String(seconds)]),
    },
  ];
}

/** Path of the libmunge program, or undefined if it can't be compiled. */
function compiled(): string | undefined {
  if (!existsSync("/usr/include/munge.h") || Bun.which("gcc") === null) return undefined;
  const path = `${OUTPUT}/bench_lib`;
  const options = ["-O2", "-pthread", "-o", path, "scripts/bench_lib.c", "-lmunge"];
  const { success, stderr } = Bun.spawnSync(["gcc", ...options]);
  if (!success) throw new Error(`gcc failed: ${stderr}`);
  return path;
}

/** Microseconds of processor time that a process has used. */
function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

function rate(command: readonly string[]): number {
  const { success, stdout, stderr } = Bun.spawnSync([...command], { timeout: 120_000 });
  if (!success) throw new Error(`${command[0]} failed: ${stderr}`);
  return Number(stdout.toString());
}

async function main(): Promise<void> {
  const values = benchOptions("library");
  const all = await contestants();
  const munged = await Munged.start(PROGRAMS[values.munged === "ours" ? 0 : 1]!);
  try {
    const seconds = Number(values.seconds);
    const rates = all.map((): number[] => []);
    const costs = all.map((): number[] => []);
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const [i, contestant] of all.entries()) {
        const before = processorTime(munged.pid);
        const measured = contestant.measure(munged.socketPath, seconds);
        rates[i]!.push(measured);
        const made = measured * (seconds + contestant.warmUp);
        costs[i]!.push((processorTime(munged.pid) - before) / made);
      }
    }
    console.log(`encodes per second from one process, ${values.munged} munged, medians`);
    for (const [i, { name, inFlight }] of all.entries()) {
      const shown = median(rates[i]!).toFixed(0).padStart(7);
      const cost = median(costs[i]!).toFixed(1).padStart(5);
      console.log(
        `${name.padEnd(18)} ${
          String(inFlight).padStart(3)
        } in flight ${shown}, ${cost} us of munged each`,
      );
    }
  } finally {
    await munged.stop();
    rmSync(OUTPUT, { recursive: true, force: true });
  }
}

if (import.meta.main) await main();
