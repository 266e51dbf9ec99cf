// Measures munged: ours, the reference's and the floor (what the kernel alone allows), in turn in each round of
// one run, so that a noisy machine disturbs all alike. Reports medians, and the ratios of each round.
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { encodeRequest } from "../../tests/requests.ts";
import {
  BOX,
  type Contestant,
  directory,
  REFERENCE,
  run,
  startFloor,
  startOurs,
  startReference,
  THREADS,
} from "./contestants.ts";
import { type Figure, Figures, HEADINGS, rotated, type Samples } from "./figures.ts";
import { cpuSeconds, idleFigures } from "./idle.ts";
import { benchOptions } from "./options.ts";
import { PAGE } from "./page.ts";
import { report } from "./report.ts";
import { median, quantile } from "./statistics.ts";

const options = benchOptions("munged");
const ROUNDS = Number(options.rounds);
/** Rounds of the rates that are close to their bounds: a single ratio may be a fifth off. */
const MANY_ROUNDS = 3 * ROUNDS;
/** By then, our munged has given back the memory that only its start needed. */
const MEMORY_SETTLE_MS = 3_000;
/** How long a daemon must have had nothing to do to count as idle, and how long it is then watched. */
const IDLE_SETTLE_MS = 60_000;
const IDLE_SECONDS = 120;
const figures = new Figures(options.only, ROUNDS);

/** Credentials per second by remunge, and the daemon's CPU time for each in microseconds. */
function load(
  to: Contestant,
  args: readonly string[],
  remunge: readonly string[] = [REFERENCE.remunge],
): { rate: number; cpu: number } {
  const before = cpuSeconds(to.pid);
  const rate = Number.parseInt(run([...remunge, "-q", ...args, "-S", to.socket]));
  const count = Number(args[args.indexOf("-N") + 1]);
  return { rate, cpu: ((cpuSeconds(to.pid) - before) / count) * 1e6 };
}

/** Milliseconds taken by each encode of one client while eight others keep the daemon busy; sorted. */
function latencies(to: Contestant): Float64Array {
  const seconds = 3;
  const loaders = Bun.spawn(
    [REFERENCE.remunge, "-q", "-e", "-T", "8", "-D", String(seconds), "-S", to.socket],
    { stdio: ["ignore", "ignore", "ignore"] },
  );
  const client = new BlockingClient(to.socket);
  const request = encodeRequest();
  Bun.sleepSync(200);
  const end = performance.now() + (seconds - 0.5) * 1000;
  const taken: number[] = [];
  for (let now = performance.now(); now < end;) {
    client.encode(request);
    const after = performance.now();
    taken.push(after - now);
    now = after;
  }
  loaders.kill();
  Bun.sleepSync(100);
  return Float64Array.from(taken).sort();
}

/**
 * Resident and private memory in MiB. Private memory belongs to no file: the pages of the executable are the
 * page cache's, whether or not another process maps them at the moment.
 */
function memory(pid: number): { resident: number; own: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(rollup)![1]);
  return { resident: kib("Rss") / 1024, own: kib("Anonymous") / 1024 };
}

/** Milliseconds a whole command takes. */
function timed(command: readonly string[]): number {
  const start = performance.now();
  run(command);
  return performance.now() - start;
}

function measureLoad(
  name: string,
  args: readonly string[],
  contestants: readonly Contestant[],
  bounds: { rate?: number; floor?: number; cpu?: number },
  rounds = ROUNDS,
): void {
  const wanted: Omit<Figure, "samples">[] = [
    {
      name,
      unit: "1/s",
      against: "reference",
      bound: bounds.rate === undefined ? {} : { least: bounds.rate },
    },
    ...bounds.cpu === undefined ? [] : [{
      name: `server CPU, ${name}`,
      unit: "us",
      against: "reference" as const,
      bound: { most: bounds.cpu },
    }],
    ...bounds.floor === undefined ? [] : [{
      name: `${name}, against the floor`,
      unit: "1/s",
      against: "floor" as const,
      bound: { least: bounds.floor },
    }],
  ];
  figures.recordAll(wanted, (round) => {
    const rates: Samples = {};
    const cpu: Samples = {};
    for (const to of rotated(contestants, round)) {
      const result = load(to, args);
      rates[to.name] = [result.rate];
      if (to.name !== "floor") cpu[to.name] = [result.cpu];
    }
    return [
      rates,
      ...bounds.cpu === undefined ? [] : [cpu],
      ...bounds.floor === undefined ? [] : [rates],
    ];
  }, rounds);
}

async function main(): Promise<void> {
  const key = join(directory, "key");
  writeFileSync(key, crypto.getRandomValues(new Uint8Array(128)), { mode: 0o600 });
  const ours = startOurs();
  const reference = startReference();
  const floor = startFloor();
  const all = [ours, reference, floor];
  const both = [ours, reference];
  try {
    console.log(HEADINGS.join(" | "));
    await sleep(MEMORY_SETTLE_MS);
    measureMemory(ours, reference);
    await measureIdleness(both);
    measureRates(all, both);
    measureLatencies(both);
    measureRemunge(reference);
    measureLongPayloads();
    measureThreads(ours);
    measureCommands(ours);
    await finish();
  } finally {
    for (const { pid } of all) process.kill(pid);
    Bun.sleepSync(500);
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The memory of daemons that have not been used yet. */
function measureMemory(ours: Contestant, reference: Contestant): void {
  figures.record({
    name: "memory idle, resident",
    unit: "MiB",
    against: null,
    bound: { most: 40 },
  }, () => ({ ours: [memory(ours.pid).resident], reference: [memory(reference.pid).resident] }));
  figures.record(
    { name: "memory idle, private", unit: "MiB", against: null, bound: { most: 16 } },
    () => ({ ours: [memory(ours.pid).own], reference: [memory(reference.pid).own] }),
  );
}

/** Requests per second, and the CPU time that the daemon needs for each. @param both without the floor. */
function measureRates(all: readonly Contestant[], both: readonly Contestant[]): void {
  // A daemon runs for months, so the first requests, while its code is being compiled, do not count.
  for (const to of all) load(to, ["-e", "-T", "8", "-N", "40000"]);
  for (const to of both) load(to, ["-d", "-T", "8", "-N", "20000"]);
  measureLoad("encode, 8 clients", ["-e", "-T", "8", "-N", "40000"], all, {
    rate: 1.5,
    floor: 0.82,
    cpu: 0.55,
  }, MANY_ROUNDS);
  measureLoad("encode + decode, 8 clients", ["-d", "-T", "8", "-N", "20000"], both, {
    rate: 1.5,
    cpu: 0.6,
  }, MANY_ROUNDS);
  measureLoad("encode, 1 client", ["-e", "-T", "1", "-N", "15000"], all, { rate: 1.15 });
  // The reference accepts no message over 1 MiB, so its largest payload is a little less.
  for (
    const [name, length, count] of [
      ["1 KiB", "1024", "20000"],
      ["64 KiB", "65536", "3000"],
      ["1 MiB", "1048000", "200"],
    ] as const
  ) {
    const args = ["-e", "-T", "8", "-N", count, "-l", length];
    measureLoad(`encode ${name}, 8 clients`, args, both, { rate: 1 });
    measureLoad(`encode ${name} with zlib, 8 clients`, [...args, "-z", "zlib"], both, {
      rate: 1,
    });
  }
}

/** How long one client waits beside others. */
function measureLatencies(both: readonly Contestant[]): void {
  const percentiles = [["p50", 0.5], ["p99", 0.99], ["p99.9", 0.999]] as const;
  figures.recordAll(
    percentiles.map(([name]) => ({
      name: `${name} of one client beside 8`,
      unit: "ms",
      against: "reference" as const,
      bound: name === "p99" ? { most: 1 } : {},
    })),
    () => {
      const sorted = both.map((to) => ({ name: to.name, taken: latencies(to) }));
      return percentiles.map(([, share]) =>
        Object.fromEntries(sorted.map(({ name, taken }) => [name, [quantile(taken, share)]]))
      );
    },
  );
}

/** How fast our remunge drives a daemon, beside the reference's. */
function measureRemunge(reference: Contestant): void {
  figures.record({
    name: "our remunge; the reference's as `reference`",
    unit: "1/s",
    against: "reference",
    bound: { least: 0.9 },
  }, () => {
    const args = ["-e", "-T", "8", "-N", "40000"];
    const theirs = load(reference, args);
    return { ours: [load(reference, args, [BOX, "remunge"]).rate], reference: [theirs.rate] };
  });
}

/** How often idle daemons wake up, and the CPU time this takes. */
async function measureIdleness(daemons: readonly Contestant[]): Promise<void> {
  const names = { wakeUps: "wake-ups idle", cpu: "CPU time idle" };
  if (!figures.includes(Object.values(names))) return;
  await sleep(IDLE_SETTLE_MS);
  const found = await Promise.all(daemons.map(async (daemon) => {
    const { wakeUps, cpuSeconds } = await idleFigures(daemon.pid, IDLE_SECONDS);
    const total = Object.values(wakeUps).reduce((sum, count) => sum + count, 0);
    return { daemon: daemon.name, wakeUps: total, cpu: cpuSeconds * 1000 };
  }));
  const perMinute = (figure: "wakeUps" | "cpu"): Samples =>
    Object.fromEntries(found.map((each) => [each.daemon, [each[figure] * 60 / IDLE_SECONDS]]));
  figures.recordAll(
    [
      { name: names.wakeUps, unit: "1/min", against: null, bound: { most: 1 } },
      { name: names.cpu, unit: "ms/min", against: null, bound: { most: 0 } },
    ],
    () => [perMinute("wakeUps"), perMinute("cpu")],
    1,
  );
}

/** Payloads that the reference does not accept, sent by our remunge because the reference's refuses them too. */
function measureLongPayloads(): void {
  const daemon = startOurs("long", THREADS, "--max-payload=8M");
  const remunge = [BOX, "remunge"];
  const peak = () =>
    Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${daemon.pid}/status`, "latin1"))![1]) /
    1024;
  const idle = peak();
  try {
    for (
      const [name, ...args] of [
        ["encode 8 MiB, 8 clients", "-e"],
        ["encode 8 MiB with zlib, 8 clients", "-e", "-z", "zlib"],
        ["encode + decode 8 MiB, 8 clients", "-d"],
      ] as const
    ) {
      const all = [...args, "-T", "8", "-N", "32", "-l", "8M"];
      figures.record(
        { name, unit: "1/s", against: null, bound: {} },
        () => ({ ours: [load(daemon, all, remunge).rate] }),
      );
    }
    figures.record({
      name: "memory for 64 clients with 8 MiB each, at most",
      unit: "MiB",
      against: null,
      bound: { most: 192 }, // docs/configuration.md: 64 MiB, and eight payloads in each thread
    }, () => {
      load(daemon, ["-e", "-T", "64", "-N", "64", "-l", "8M"], remunge);
      return { ours: [peak() - idle] };
    });
  } finally {
    process.kill(daemon.pid);
  }
}

/** The gain from a second thread where the daemon's work outweighs the clients'. */
function measureThreads(ours: Contestant): void {
  const single: Contestant = { ...startOurs("single", 1), name: "reference" };
  try {
    const args = ["-e", "-T", "8", "-N", "200", "-l", "1048000", "-z", "zlib"];
    const name = `encode 1 MiB with zlib, ${THREADS} threads; 1 thread as \`reference\``;
    measureLoad(name, args, [ours, single], { rate: 1 });
  } finally {
    process.kill(single.pid);
  }
}

/** Whole processes: `munge -n` against a compiled hello-world, and munged's start. */
function measureCommands(ours: Contestant): void {
  const hello = join(directory, "hello");
  writeFileSync(`${hello}.ts`, 'console.log("hello");\n');
  run([
    process.execPath,
    "build",
    "--compile",
    "--minify",
    "--bytecode",
    `${hello}.ts`,
    `--outfile=${hello}`,
  ]);
  figures.record({
    name: "munge -n; a compiled hello-world as `floor`",
    unit: "ms",
    against: "floor",
    bound: { most: 1.35 },
  }, (round) => {
    // New copies in each round: where the pages of such a large file end up makes a difference of a tenth. The
    // one copied first takes 1 % longer.
    const box = join(directory, `munge-${round}`);
    const world = join(directory, `hello-${round}`);
    for (const [from, to] of rotated([[BOX, box], [hello, world]] as const, round)) {
      copyFileSync(from, to);
    }
    const times: { ours: number[]; floor: number[] } = { ours: [], floor: [] };
    for (let i = 0; i < 21; i++) {
      times.ours.push(timed([box, "munge", "-n", "-S", ours.socket]));
      times.floor.push(timed([world]));
    }
    rmSync(box);
    rmSync(world);
    return { ours: [median(times.ours)], floor: [median(times.floor)] };
  });
  figures.record({
    name: "munged, start to first answer",
    unit: "ms",
    against: null,
    bound: { most: 80 },
  }, (round) => {
    const start = performance.now();
    const started = startOurs(`start${round}`);
    new BlockingClient(started.socket).decode({ credential: new Uint8Array(1) });
    const taken = performance.now() - start;
    process.kill(started.pid);
    return { ours: [taken] };
  });
}

async function finish(): Promise<void> {
  const table = figures.table();
  console.log(`\n${table}`);
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(figures.all, null, 2));
  if (!options.write) return;
  const library = run([process.execPath, "scripts/benchmarks/library.ts", "--rounds", "3"]);
  const rounds = { rounds: ROUNDS, manyRounds: MANY_ROUNDS };
  writeFileSync(PAGE, await report(table, library, rounds));
  run(["deno", "fmt", "--quiet", PAGE]);
}

await main();
