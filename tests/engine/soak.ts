// scripts/soak: munged under mixed load for some minutes, and its state before and after.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Munged, Realm } from "../harness/realm.ts";
import { isRoot } from "../harness/programs.ts";
import { NOBODY, Stallers } from "./load.ts";
import type { SoakCounts } from "./soak_client.ts";

const CLIENTS = 2;
const STALLERS = 50;
const SIGNAL_EVERY_MS = 5_000;
const KILL_EVERY_MS = 7_000;
/** Share of the time after which the daemon must have reached its full size. */
const WARM_UP = 0.3;
/** How long the daemon is left alone before it is measured, so that it can disconnect clients and clean up. */
const REST_MS = 3_500;
/**
 * How much memory may differ without counting as growth: the runtime's heaps take minutes to reach their size, which
 * depends on chance, and each of the two workers may keep 6 MiB for long requests (SpareMemory). The more requests there
 * were, the smaller a leak is visible: within a minute, 1 KiB per request.
 */
const MEMORY_SLACK_KIB = 32_768 + 2 * 6_144;
/** The replay cache adds and drops tables every minute. */
const DESCRIPTOR_SLACK = 4;
const WRONG_SHOWN = 10;

/** Resources of the daemon's process. */
interface Sample {
  readonly residentKib: number;
  readonly privateKib: number;
  /** Null unless we are root: munged lets no other user look into it. */
  readonly descriptors: number | null;
}

function takeSample({ process: { pid } }: Munged): Sample {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)![1]);
  return {
    residentKib: field("VmRSS"),
    privateKib: field("RssAnon"),
    descriptors: isRoot ? readdirSync(`/proc/${pid}/fd`).length : null,
  };
}

class Clients {
  readonly total: SoakCounts = {
    encodes: 0,
    decodes: 0,
    replays: 0,
    garbage: 0,
    unanswered: 0,
    wrong: [],
  };
  /** Why any of them ended by itself. */
  readonly failures: string[] = [];
  killed = 0;
  readonly #socket: string;
  readonly #children: ChildProcess[] = [];

  constructor(socket: string) {
    this.#socket = socket;
  }

  start(): void {
    for (let i = 0; i < CLIENTS; i++) this.#start(i);
  }

  /** Client 0 runs as the current user, the others as nobody if we may choose. */
  #start(index: number): void {
    const file = join(import.meta.dirname, "soak_client.ts");
    const child = spawn(process.execPath, [file, this.#socket], {
      stdio: ["ignore", "pipe", "inherit"],
      ...(index === 0 ? {} : NOBODY),
    });
    this.#children[index] = child;
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (piece: string) => {
      const lines = (text + piece).split("\n");
      text = lines.pop()!;
      for (const line of lines) this.#add(JSON.parse(line));
    });
    child.once("exit", (status) => {
      if (status !== null) this.failures.push(`a client ended with status ${status}`);
    });
  }

  #add(counts: SoakCounts): void {
    const { total } = this;
    for (const name of ["encodes", "decodes", "replays", "garbage", "unanswered"] as const) {
      total[name] += counts[name];
    }
    total.wrong.push(...counts.wrong);
  }

  /** Kills a client in the middle of its work, and starts another one. */
  killOne(): void {
    const index = this.killed++ % CLIENTS;
    this.#children[index]!.kill("SIGKILL");
    this.#start(index);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map(async (child) => {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    }));
  }
}

async function soak(minutes: number): Promise<boolean> {
  const realm = new Realm();
  const munged = await realm.start("ours");
  const clients = new Clients(munged.socket);
  const stallers = new Stallers(munged.socket, STALLERS);
  const stalls = { opened: 0, cut: 0 };
  let signals = 0;
  const started = performance.now();

  const loadFor = async (milliseconds: number): Promise<Sample> => {
    clients.start();
    await stallers.start();
    const timers = [
      setInterval(() => {
        munged.process.kill("SIGHUP");
        signals++;
      }, SIGNAL_EVERY_MS),
      setInterval(() => clients.killOne(), KILL_EVERY_MS),
    ];
    const ended = once(munged.process, "exit");
    await Promise.race([pause(milliseconds, undefined, { ref: false }), ended]);
    timers.forEach(clearInterval);
    await clients.stop();
    const { opened, cut } = await stallers.pause();
    stalls.opened += opened;
    stalls.cut += cut;
    await pause(REST_MS);
    return takeSample(munged);
  };
  const start = await loadFor(minutes * 60_000 * WARM_UP);
  const end = await loadFor(minutes * 60_000 * (1 - WARM_UP));
  await stallers.stop();
  const seconds = (performance.now() - started) / 1000;
  const status = await munged.stop();
  const complaints = munged.log().split("\n").filter((line) => /: (Error|Warning): /.test(line));
  await realm.close();

  const { encodes, decodes, replays, garbage, unanswered, wrong } = clients.total;
  const descriptors = (sample: Sample) => String(sample.descriptors ?? "unknown");
  const mib = (kib: number) => (kib / 1024).toFixed(1);
  console.log(`
${seconds.toFixed(0)} seconds, ${encodes + decodes + replays + garbage} requests
  encodes             ${encodes}
  decodes             ${decodes}
  replays             ${replays}
  garbage             ${garbage}
  stalling clients    ${stalls.opened} opened, ${stalls.cut} cut off
  clients killed      ${clients.killed}
  SIGHUPs             ${signals}
  unanswered          ${unanswered}
  wrong answers       ${wrong.length}
daemon                start    end
  resident MiB        ${mib(start.residentKib).padEnd(8)} ${mib(end.residentKib)}
  private MiB         ${mib(start.privateKib).padEnd(8)} ${mib(end.privateKib)}
  descriptors         ${descriptors(start).padEnd(8)} ${descriptors(end)}
  exit status         ${status}`);

  const failures = [
    ...clients.failures,
    ...wrong.slice(0, WRONG_SHOWN),
    ...complaints.filter((line) => !/origin address/.test(line)),
  ];
  if (encodes === 0) failures.push("nothing was encoded");
  if (status !== 0) failures.push(`munged ended with status ${status}`);
  if (end.privateKib > start.privateKib + MEMORY_SLACK_KIB) failures.push("memory has grown");
  if (
    start.descriptors !== null && end.descriptors !== null &&
    end.descriptors > start.descriptors + DESCRIPTOR_SLACK
  ) {
    failures.push("descriptors have grown in number");
  }
  for (const failure of failures) console.error(`soak: Error: ${failure}`);
  return failures.length === 0;
}

const minutes = Number(process.argv[2]);
if (!(minutes > 0)) {
  console.error("Usage: scripts/soak MINUTES");
  process.exit(2);
}
process.exit(await soak(minutes) ? 0 : 1);
