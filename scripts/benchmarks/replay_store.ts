// The cost of a replay store: decodes by a munged without one, with one on this machine, and with one behind a network that
// adds 0.5 ms to each round trip, in turn in each round. Needs redis-server and a C compiler.
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { MUNGEBOX } from "../../tests/harness/programs.ts";
import { type Munged, Realm } from "../../tests/harness/realm.ts";
import { freePort, Redis } from "../../tests/replay_store/redis.ts";
import { encodeRequest } from "../../tests/requests.ts";
import { cpuSeconds } from "./idle.ts";
import { benchOptions } from "./options.ts";
import { PAGE, writeSection } from "./page.ts";
import { median, quantile } from "./statistics.ts";

const options = benchOptions("replay-store");
const ROUNDS = Number(options.rounds);
const SECONDS = options.seconds;
const CLIENTS = [8, 64] as const;
/** Each way. */
const DELAY_US = "250";
/** Decodes of one client, one after the other, in each round. */
const DECODES = 1_500;
/** Credentials made after that are not refused for being older than the store's memory. */
const SETTLED_MS = 7_000;
const SECTION = "The replay store";

/** A munged under measurement. */
interface Contestant {
  readonly name: string;
  readonly munged: Munged;
  readonly client: BlockingClient;
  /** By number of clients. */
  readonly rates: Map<number, number[]>;
  /** Microseconds of CPU time for a credential made and decoded: munged's and the store's. */
  readonly cpu: number[];
  readonly storeCpu: number[];
  /** Milliseconds of each decode. */
  readonly taken: number[];
}

function start(name: string, munged: Munged): Contestant {
  const rates = new Map<number, number[]>(CLIENTS.map((clients) => [clients, []]));
  const client = new BlockingClient(munged.socket);
  return { name, munged, client, rates, cpu: [], storeCpu: [], taken: [] };
}

/** Credentials made and decoded per second. */
function remunge(munged: Munged, clients: number): number {
  const args = ["remunge", "-q", "-d", "-T", `${clients}`, "-D", SECONDS, "-S", munged.socket];
  const { stdout, stderr, status } = spawnSync(MUNGEBOX, args, { encoding: "utf8" });
  if (status !== 0 || stderr !== "") throw new Error(`remunge: ${stderr}`);
  return Number.parseInt(stdout);
}

/** A figure from the store's INFO. */
function info(redis: Redis, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, "m").exec(redis.command("INFO", "everything"))![1]);
}

function measure(contestant: Contestant, redis: Redis): void {
  const { munged, client, taken } = contestant;
  const storePid = info(redis, "process_id");
  for (let i = 0; i < DECODES; i++) {
    const credential = client.encode(encodeRequest()).credential.slice();
    const begun = performance.now();
    const { errno } = client.decode({ credential });
    taken.push(performance.now() - begun);
    if (errno !== 0) throw new Error(`${contestant.name}: a decode failed with ${errno}`);
  }
  for (const clients of CLIENTS) {
    const before = [cpuSeconds(munged.process.pid!), cpuSeconds(storePid)] as const;
    const rate = remunge(munged, clients);
    contestant.rates.get(clients)!.push(rate);
    if (clients !== CLIENTS[0]) continue;
    const credentials = rate * Number(SECONDS);
    contestant.cpu.push((cpuSeconds(munged.process.pid!) - before[0]) / credentials * 1e6);
    contestant.storeCpu.push((cpuSeconds(storePid) - before[1]) / credentials * 1e6);
  }
}

/** Starts the relay that delays. Returns its port and how to stop it. */
async function startRelay(directory: string, target: number) {
  const program = join(directory, "relay");
  const { status, stderr } = spawnSync("cc", ["-O2", "scripts/benchmarks/relay.c", "-o", program]);
  if (status !== 0) throw new Error(stderr.toString());
  const port = await freePort();
  const relay = spawn(program, [`${port}`, `${target}`, DELAY_US], { stdio: "inherit" });
  return { port, stop: () => relay.kill() };
}

/** Bytes that the store needs for an entry, and for the connection of a munged. */
function memory(redis: Redis, before: number): { entry: number; connection: number } {
  const entries = Number(redis.command("DBSIZE").replace(/\D/g, ""));
  const lines = redis.command("CLIENT", "LIST").split("\n");
  const sizes = lines.filter((line) => line.includes("cmd=set"))
    .map((line) => Number(/tot-mem=(\d+)/.exec(line)![1]));
  return { entry: (info(redis, "used_memory") - before) / entries, connection: median(sizes) };
}

const count = (value: number) => Math.round(value).toLocaleString("en");

function report(contestants: readonly Contestant[], sizes: ReturnType<typeof memory>): string {
  const milliseconds = (sorted: Float64Array, share: number) => quantile(sorted, share).toFixed(2);
  const rows = contestants.map(({ name, taken, rates, cpu, storeCpu }) => {
    const sorted = Float64Array.from(taken).sort();
    return [
      name,
      milliseconds(sorted, 0.5),
      milliseconds(sorted, 0.99),
      ...CLIENTS.map((clients) => count(median(rates.get(clients)!))),
      count(median(cpu)),
      name === contestants[0]!.name ? "" : count(median(storeCpu)),
    ];
  });
  const headings = [
    "store",
    "p50 ms",
    "p99 ms",
    ...CLIENTS.map((clients) => `${clients} clients, 1/s`),
    "munged's CPU, us",
    "the store's CPU, us",
  ];
  const table = [headings, headings.map(() => "---"), ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  const storeCpu = median(contestants[1]!.storeCpu);
  const most = 1e6 / storeCpu;
  return `## ${SECTION}

Measured by \`scripts/bench --replay-store --write\` with Debian's redis-server on the same machine, so that the store,
munged and the clients share its cores. A relay adds the delay. p50 and p99 are for decodes by a single client; rates count
credentials made and decoded by \`remunge\`, and CPU time is per such credential, with ${
    CLIENTS[0]
  } clients.

${table}

An entry takes ${
    count(sizes.entry)
  } bytes of the store's memory, for its credential's remaining time-to-live and two
minutes more, and a munged's open connection ${count(sizes.connection)} bytes.

A model of one store for a whole cluster: one core answers ${
    count(most)
  } questions a second. 10,000 nodes that each decode one new credential a second take
${
    (10_000 * storeCpu / 1e4).toFixed(0)
  } % of a core; with a time-to-live of 300 seconds, they need ${
    count(10_000 * (300 + 120) * sizes.entry / 2 ** 20)
  } MiB for 4,200,000 entries and ${
    count(10_000 * sizes.connection / 2 ** 20)
  } MiB for 10,000 connections. Starting a job on all 10,000 nodes at once takes ${
    (10_000 * storeCpu / 1e6).toFixed(2)
  } seconds of the store's time.
`;
}

async function main(): Promise<void> {
  const realm = new Realm();
  const redis = await Redis.start();
  const relay = await startRelay(realm.directory, redis.port);
  try {
    const before = info(redis, "used_memory");
    const session = ["setsid"]; // Linux shares the CPU between sessions first
    const near = [`--replay-store=redis://127.0.0.1:${redis.port}`];
    const far = [`--replay-store=redis://127.0.0.1:${relay.port}`];
    const contestants = [
      start("none", await realm.start("ours", [], session)),
      start("on this machine", await realm.start("ours", near, session)),
      start("0.5 ms away", await realm.start("ours", far, session)),
    ];
    await pause(SETTLED_MS);
    for (const { munged } of contestants) remunge(munged, CLIENTS[0]); // its code is being compiled
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i] of contestants.entries()) {
        measure(contestants[(round + i) % contestants.length]!, redis);
      }
    }
    const text = report(contestants, memory(redis, before));
    console.log(text);
    if (!options.write) return;
    writeSection(SECTION, text);
    spawnSync("node_modules/.bin/deno", ["fmt", "--quiet", PAGE]);
  } finally {
    relay.stop();
    await realm.close();
    await redis.close();
  }
}

await main();
