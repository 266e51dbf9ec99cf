// Measures munged: ours, the reference's and the floor (what the kernel alone allows), in turn in each round of
// one run, so that a noisy machine disturbs all alike. Reports medians, and the ratios of each round.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BlockingClient } from "../lib/client/blocking_client.ts";
import { compareDecodes, type Latency, measureCache } from "./bench_replay.ts";
import { cpuSeconds, idleFigures } from "./bench_idle.ts";
import { benchOptions } from "./bench_options.ts";
import { PAGE, readSection } from "./bench_page.ts";
import { median, quantile } from "./bench_statistics.ts";
import { encodeRequest } from "../tests/requests.ts";

const options = benchOptions("munged");
const ROUNDS = Number(options.rounds);
/** Rounds of the rates that are close to their bounds: a single ratio may be a fifth off. */
const MANY_ROUNDS = 3 * ROUNDS;
const BOX = resolve("dist/mungebox");
const REFERENCE = { munged: "/usr/sbin/munged", remunge: "/usr/bin/remunge" };
const THREADS = 2;
/** By then, our munged has given back the memory that only its start needed. */
const MEMORY_SETTLE_MS = 3_000;
/** How long a daemon must have had nothing to do to count as idle, and how long it is then watched. */
const IDLE_SETTLE_MS = 60_000;
const IDLE_SECONDS = 120;
const directory = mkdtempSync(join(tmpdir(), "munge-bench-"));

/** A daemon under measurement. */
interface Contestant {
  readonly name: "ours" | "reference" | "floor";
  readonly socket: string;
  readonly pid: number;
}

/** The results of one measurement, by round. */
type Samples = Partial<Record<Contestant["name"], number[]>>;

/** A figure of the report. */
interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly samples: Samples;
  /** What ours is compared with, and the bound the project has set itself. */
  readonly against: "reference" | "floor" | null;
  readonly bound: { readonly least?: number; readonly most?: number };
}

function run(command: readonly string[]): string {
  const result = Bun.spawnSync([...command], { stdio: ["ignore", "pipe", "pipe"] });
  if (!result.success) throw new Error(`${command.join(" ")}: ${result.stderr}`);
  return result.stdout.toString();
}

// ---- the contestants

function mungedArguments(name: string, threads = THREADS): string[] {
  const home = join(directory, name);
  return [
    `--socket=${home}.sock`,
    `--key-file=${join(directory, "key")}`,
    `--log-file=${home}.log`,
    `--pid-file=${home}.pid`,
    `--seed-file=${home}.seed`,
    `--num-threads=${threads}`,
    "--force",
  ];
}

function startOurs(name = "ours", threads = THREADS, ...more: readonly string[]): Contestant {
  const replays = `--replay-dir=${join(directory, name)}.replay`;
  run([BOX, "munged", ...mungedArguments(name, threads), replays, ...more]);
  return contestant("ours", name);
}

function startReference(): Contestant {
  run([REFERENCE.munged, ...mungedArguments("reference")]);
  return contestant("reference", "reference");
}

function contestant(name: Contestant["name"], file: string): Contestant {
  const pid = Number(readFileSync(join(directory, `${file}.pid`), "utf8"));
  return { name, socket: join(directory, `${file}.sock`), pid };
}

function startFloor(): Contestant {
  const program = join(directory, "floor");
  run(["cc", "-O2", "scripts/bench_floor.c", "-o", program]);
  const socket = join(directory, "floor.sock");
  const { pid } = Bun.spawn([program, socket], { stdio: ["ignore", "ignore", "ignore"] });
  while (statSync(socket, { throwIfNoEntry: false }) === undefined) Bun.sleepSync(1);
  return { name: "floor", socket, pid };
}

// ---- measurements

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

// ---- the figures

const figures: Figure[] = [];

function record(figure: Omit<Figure, "samples">, measure: (round: number) => Samples): void {
  recordAll([figure], (round) => [measure(round)]);
}

/** Records several figures that one measurement yields, made in each round. */
function recordAll(
  wanted: readonly Omit<Figure, "samples">[],
  measure: (round: number) => readonly Samples[],
  rounds = ROUNDS,
): void {
  if (!wanted.some(({ name }) => name.includes(options.only))) return;
  const gathered: Samples[] = wanted.map(() => ({}));
  for (let round = 0; round < rounds; round++) {
    measure(round).forEach((samples, index) => {
      for (const [name, values] of Object.entries(samples)) {
        (gathered[index]![name as Contestant["name"]] ??= []).push(...values);
      }
    });
  }
  wanted.forEach((figure, index) => {
    figures.push({ ...figure, samples: gathered[index]! });
    console.log(row(figures.at(-1)!).join(" | "));
  });
}

/** Ours over the other, round by round. */
function ratios({ samples, against }: Figure): number[] {
  const other = against === null ? undefined : samples[against];
  return other === undefined ? [] : samples.ours!.map((value, round) => value / other[round]!);
}

const shown = (value: number) =>
  value === 0 ? "0" : value >= 1000 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);

function row(figure: Figure): string[] {
  const { samples, bound, unit } = figure;
  const ratio = ratios(figure);
  const judged = ratio.length > 0 ? median(ratio) : median(samples.ours!);
  const limit = bound.least ?? bound.most;
  const met = limit === undefined
    ? ""
    : (bound.least !== undefined ? judged >= bound.least : judged <= bound.most!)
    ? "yes"
    : "NO";
  const value = (name: Contestant["name"]) =>
    samples[name] === undefined ? "" : shown(median(samples[name]));
  return [
    figure.name,
    unit,
    value("ours"),
    value("reference"),
    value("floor"),
    ratio.length === 0
      ? ""
      : `${median(ratio).toFixed(2)} (${Math.min(...ratio).toFixed(2)}..${
        Math.max(...ratio).toFixed(2)
      })`,
    limit === undefined
      ? ""
      : `${bound.least !== undefined ? "at least" : "at most"} ${limit}${
        ratio.length === 0 ? ` ${unit}` : ` of ${figure.against}`
      }`,
    met,
  ];
}

/** Rotates a list, so that none always follows the same one, which the kernel may still be cleaning up after. */
function rotated<T>(list: readonly T[], by: number): T[] {
  return list.map((_, index) => list[(index + by) % list.length]!);
}

const HEADINGS = ["figure", "unit", "ours", "reference", "floor", "ratio", "target", "met"];

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
  recordAll(wanted, (round) => {
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
    record({
      name: "memory idle, resident",
      unit: "MiB",
      against: null,
      bound: { most: 40 },
    }, () => ({ ours: [memory(ours.pid).resident], reference: [memory(reference.pid).resident] }));
    record(
      { name: "memory idle, private", unit: "MiB", against: null, bound: { most: 16 } },
      () => ({ ours: [memory(ours.pid).own], reference: [memory(reference.pid).own] }),
    );
    await measureIdleness(both);
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
    const percentiles = [["p50", 0.5], ["p99", 0.99], ["p99.9", 0.999]] as const;
    recordAll(
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
    record({
      name: "our remunge; the reference's as `reference`",
      unit: "1/s",
      against: "reference",
      bound: { least: 0.9 },
    }, () => {
      const args = ["-e", "-T", "8", "-N", "40000"];
      const theirs = load(reference, args);
      return { ours: [load(reference, args, [BOX, "remunge"]).rate], reference: [theirs.rate] };
    });
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

/** How often idle daemons wake up, and the CPU time this takes. */
async function measureIdleness(daemons: readonly Contestant[]): Promise<void> {
  const names = { wakeUps: "wake-ups idle", cpu: "CPU time idle" };
  if (!Object.values(names).some((name) => name.includes(options.only))) return;
  await sleep(IDLE_SETTLE_MS);
  const found = await Promise.all(daemons.map(async (daemon) => {
    const { wakeUps, cpuSeconds } = await idleFigures(daemon.pid, IDLE_SECONDS);
    const total = Object.values(wakeUps).reduce((sum, count) => sum + count, 0);
    return { daemon: daemon.name, wakeUps: total, cpu: cpuSeconds * 1000 };
  }));
  const perMinute = (figure: "wakeUps" | "cpu"): Samples =>
    Object.fromEntries(found.map((each) => [each.daemon, [each[figure] * 60 / IDLE_SECONDS]]));
  recordAll(
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
      record(
        { name, unit: "1/s", against: null, bound: {} },
        () => ({ ours: [load(daemon, all, remunge).rate] }),
      );
    }
    record({
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
  record({
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
  record({
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

/** The cost of live entries in the replay cache, as a table. */
async function replayTable(): Promise<string> {
  const cells = ({ p50, p99, p999 }: Latency) => [p50, p99, p999].map((us) => us.toFixed(1));
  const points = measureCache().map(({ entries, bytesPerEntry, insertion }) => [
    entries.toLocaleString("en"),
    String(bytesPerEntry),
    ...cells(insertion),
  ]);
  const { entries, empty, filled, ratio } = await compareDecodes();
  const headings = ["live entries", "bytes each", "p50", "p99", "p99.9"];
  return `${markdown([headings, headings.map(() => "---"), ...points])}

A decode by munged takes ${cells(empty).join(", ")} us (p50, p99, p99.9) with an empty cache and
${cells(filled).join(", ")} us with ${entries.toLocaleString("en")} live entries: the p99.9 is
${ratio.toFixed(2)} times that of the empty cache, as the median of the rounds.`;
}

function markdown(rows: readonly (readonly string[])[]): string {
  return rows.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

async function finish(): Promise<void> {
  const rows = figures.map(row);
  const table = markdown([HEADINGS, HEADINGS.map(() => "---"), ...rows]);
  console.log(`\n${table}`);
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(figures, null, 2));
  if (!options.write) return;
  const library = run([process.execPath, "scripts/bench_lib.ts", "--rounds", "3"]);
  writeFileSync(PAGE, report(table, await replayTable(), library));
  run(["deno", "fmt", "--quiet", PAGE]);
}

/** The page. Sections written by other benchmarks or by people stay as they are. */
function report(table: string, replays: string, library: string): string {
  const machine = `${cpus().length} cores (${cpus()[0]?.model ?? "unknown"})`;
  const figures = () => `\`\`\`text\n${library.trim()}\n\`\`\``;
  return `# Benchmarks

Generated by \`scripts/bench --write\` on ${machine}. It compares our munged with the reference (the munged of
Debian's package) and with the floor: a C program that accepts a connection, reads the request, asks the
kernel who the client is, writes a canned answer and closes. Each runs ${THREADS} threads, with the
reference's \`remunge\` as the load. They are measured in turn in each of ${ROUNDS} rounds of one run
(${MANY_ROUNDS} where the bound is close). Values are medians; a ratio is the median of the rounds' ratios,
followed by the smallest and the largest.

${table}

## The replay cache

Memory per entry, and microseconds to insert an entry into a cache of that size:

${replays}

${readSection("The library").replace(/^```text\n[^]*?^```/m, figures)}
${["The replay store", "AUKS"].map(readSection).join("\n")}`;
}

await main();
