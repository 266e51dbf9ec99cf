// Measures auksd over loopback: requests per second from one client and from 8, the cost of idle connections,
// and the memory and DUMP time of 10,000 tickets. The load comes from auks_load.c, with bytes prepared beforehand
// (replay cache off).
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseReply } from "../../lib/auks/reply.ts";
import { formatRequest, type Request } from "../../lib/auks/request.ts";
import { frame } from "../../daemon/auksd/frames.ts";
import { Context } from "../../lib/krb5/context.ts";
import { Auksd } from "../../tests/auks/auksd.ts";
import { type Conversation, Speaker, syntheticKrbCred } from "../../tests/auks/conversation.ts";
import { Kdc } from "../../tests/auks/kdc.ts";
import { benchOptions } from "./options.ts";
import { median } from "./statistics.ts";

const options = benchOptions("auks");
const ROUNDS = Number(options.rounds);
/** Where to create the ticket directories, to measure a disk other than that of /tmp. */
const cacheDir = options["cache-dir"];
const BOX = resolve("dist/mungebox");
const USERS = 100;
const TICKETS = 10_000;
const CONNECTIONS = 500;
/** Simultaneous DUMPs, whose memory is also measured. */
const DUMPS = 8;
const IDLE = 1000;
const FIRST_UID = 10_000;
const SERVICE = "host/mngt.realm.a";

/** The minimum rates with one client and with 8, which the project has set itself. */
const BOUNDS = { ping: [2000, 4000], add: [1200, 2500], get: [1500, 3000] } as const;
const CLIENTS = [1, 8] as const;

const directory = mkdtempSync(join(tmpdir(), "mungebox-bench-"));
const load = join(directory, "load");
execFileSync("gcc", ["-O2", "-o", load, "scripts/benchmarks/auks_load.c"], { stdio: "inherit" });
const kdc = await Kdc.start();
kdc.enter();
kdc.login("alice");
kdc.loginService("host/compute.realm.a", "admin");
const context = Context.open();
const admin = new Speaker(context, kdc.cache("admin"));
const alice = new Speaker(context, kdc.cache("alice"));

function start(): Promise<Auksd> {
  const users = Array.from({ length: TICKETS }, (_, at) => [`user${at}`, FIRST_UID + at]);
  return Auksd.start({
    // In a session of its own, as a service is: the kernel shares the processors between sessions first.
    program: ["/usr/bin/setsid", BOX],
    ...cacheDir === undefined ? {} : { cacheDir: mkdtempSync(join(cacheDir, "auksd-")) },
    keytab: kdc.keytab(SERVICE),
    env: kdc.env,
    accounts: { root: 0, alice: 2001, ...Object.fromEntries(users) },
    common: "NAT = yes ;",
    auksd: "ReplayCache = no ; LogLevel = 0 ; QueueSize = 1000 ;",
    acl: `rule { principal = ^host/compute[.]realm[.]a@REALM[.]A$ ; host = * ; role = admin ; }
rule { principal = ^alice@REALM[.]A$ ; host = * ; role = user ; }
`,
  });
}

async function stop(auksd: Auksd): Promise<void> {
  await auksd.stop();
  rmSync(auksd.cacheDir, { recursive: true, force: true });
}

/** Writes conversations in the format of the load generator. */
function writeLoad(name: string, talks: readonly Conversation[]): string {
  const parts: Uint8Array[] = [u32(talks.length)];
  for (const { versions, apReq, request, close } of talks) {
    for (const part of [versions, apReq, request, close]) parts.push(u32(part.length), part);
  }
  const file = join(directory, name);
  writeFileSync(file, Buffer.concat(parts));
  return file;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** Requests per second; throws if one of them fails. */
function rate(auksd: Auksd, clients: number, file: string): number {
  const words = [String(auksd.port), String(clients), options.seconds, file];
  const [requests = 0, seconds = 1, , , errors] = execFileSync(load, words, { encoding: "utf8" })
    .trim().split(" ").map(Number);
  if (errors !== 0) throw new Error(`${errors} requests failed`);
  return requests / seconds;
}

const failures: string[] = [];

/** Prints a figure, and whether it keeps within its bound. */
function report(
  name: string,
  value: number,
  unit: string,
  bound: { readonly least: number } | { readonly most: number },
): void {
  const isMet = "least" in bound ? value >= bound.least : value <= bound.most;
  const limit = "least" in bound ? `at least ${bound.least}` : `at most ${bound.most}`;
  const text = `${name.padEnd(44)} ${value.toFixed(unit === "" ? 2 : 0)} ${unit}`.padEnd(62);
  console.log(`${text} ${limit}${isMet ? "" : "  MISSED"}`);
  if (!isMet) failures.push(name);
}

const add = (at: number): Request => ({
  type: "add",
  krbCred: syntheticKrbCred(`user${at}@REALM.A`),
});
const loads = {
  ping: writeLoad("ping", [alice.write({ type: "ping" })]),
  add: writeLoad("add", Array.from({ length: USERS }, (_, at) => admin.write(add(at)))),
  get: writeLoad("get", [admin.write({ type: "get", uid: FIRST_UID })]),
};

async function measureRates(): Promise<void> {
  const auksd = await start();
  await admin.ask(auksd.port, add(0));
  const samples = new Map<string, number[]>();
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, file] of Object.entries(loads)) {
      for (const clients of CLIENTS) {
        const key = `${name} ${clients}`;
        const value = rate(auksd, clients, file);
        if (round > 0) samples.set(key, [...samples.get(key) ?? [], value]);
      }
    }
  }
  for (const name of ["ping", "add", "get"] as const) {
    for (const [index, clients] of CLIENTS.entries()) {
      const title = `${name}, ${clients === 1 ? "one after another" : `${clients} clients`}`;
      const rate = median(samples.get(`${name} ${clients}`)!);
      report(title, rate, "/s", { least: BOUNDS[name][index]! });
    }
  }
  await stop(auksd);
}

async function measureIdle(): Promise<void> {
  const auksd = await start();
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const free = rate(auksd, 8, loads.ping);
    const idle = await Promise.all(Array.from({ length: IDLE }, () => alice.connect(auksd.port)));
    ratios.push(rate(auksd, 8, loads.ping) / free);
    for (const { connection, client } of idle) {
      connection.close();
      client.free();
    }
  }
  report(`ping beside ${IDLE} idle connections`, median(ratios), "", { least: 0.9 });
  await stop(auksd);
}

async function measureMemory(): Promise<void> {
  const auksd = await start();
  const { connection, client } = await admin.connect(auksd.port);
  const ask = async (request: Request): Promise<Uint8Array> => {
    connection.send(frame(client.seal(formatRequest(request))));
    return client.open(await connection.takeMessage());
  };
  for (let at = 0; at < TICKETS; at++) await ask(add(at));
  const held = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => alice.connect(auksd.port)),
  );
  const begin = performance.now();
  const dump = parseReply(await ask({ type: "dump" }));
  const took = performance.now() - begin;
  if (dump.type !== "dump" || dump.credentials.length !== TICKETS) throw new Error("DUMP is short");
  await new Promise((done) => setTimeout(done, 1000));
  const megabytes = (key: "VmRSS" | "VmHWM") => {
    const status = readFileSync(`/proc/${auksd.pid}/status`, "utf8");
    return Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)![1]) / 1024;
  };
  const state = `${TICKETS} tickets, ${CONNECTIONS} connections`;
  report(`memory, ${state}`, megabytes("VmRSS"), "MB", { most: 150 });
  report(`DUMP of ${TICKETS}`, took, "ms", { most: 1000 });
  const dumping = await Promise.all(
    Array.from({ length: DUMPS }, () => admin.connect(auksd.port)),
  );
  for (const each of dumping) {
    each.connection.send(frame(each.client.seal(formatRequest({ type: "dump" }))));
  }
  await Promise.all(dumping.map(async (each) => {
    const reply = parseReply(each.client.open(await each.connection.takeMessage(120_000)));
    if (reply.type !== "dump" || reply.credentials.length !== TICKETS) {
      throw new Error("DUMP is short");
    }
  }));
  report(`peak memory, ${DUMPS} DUMPs at once`, megabytes("VmHWM"), "MB", { most: 150 });
  for (const each of [...held, ...dumping, { connection, client }]) {
    each.connection.close();
    each.client.free();
  }
  await stop(auksd);
}

const MEASUREMENTS = { rates: measureRates, idle: measureIdle, memory: measureMemory };

try {
  for (const [name, measure] of Object.entries(MEASUREMENTS)) {
    if (options.only === undefined || options.only === name) await measure();
  }
} finally {
  await kdc.stop();
  rmSync(directory, { recursive: true });
}
process.exit(failures.length === 0 ? 0 : 1);
