// munged when a resource runs out: it keeps serving, logs it once, and recovers by itself.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import {
  formatDecodeRequest,
  formatEncodeRequest,
  formatKeepRequest,
  parseDecodeResponse,
} from "../../lib/protocol/message.ts";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { close } from "../../lib/os/socket.ts";
import { Realm } from "../harness/realm.ts";
import { until } from "../harness/until.ts";
import { isRoot } from "../harness/programs.ts";
import { kept } from "../interop/kept_connection.ts";
import { exchange } from "../interop/raw.ts";
import { encodeRequest } from "../requests.ts";
import { connect, hasAnswer, sendSome } from "./connection.ts";
import { leastOf, runProgram, Stallers } from "./load.ts";

const MIB = 2 ** 20;
/** Bytes that a file on tmpfs grows by. */
const PAGE = Number(execFileSync("getconf", ["PAGESIZE"], { encoding: "utf8" }));
/** MiB that munged may use for its clients where payloads have up to 1 MiB. */
const MEMORY_FOR_CLIENTS = 64;
/** How many copies of a longer payload the two threads may have in memory; docs/container.md says so. */
const LONG_PAYLOADS = 2 * 8;
const GARBAGE = new Uint8Array(64).fill(1);

/** Encodes and decodes a credential that is valid for this long. Returns the error number. */
function open(socket: string, ttl = 300): number {
  const client = new BlockingClient(socket);
  const { errno, credential } = client.encode(encodeRequest({ ttl }));
  assert.equal(errno, 0);
  return client.decode({ credential: credential.slice() }).errno;
}

function roundTrip(socket: string, ttl?: number): void {
  assert.equal(open(socket, ttl), 0);
}

describe("munged with scarce resources", () => {
  let realm: Realm;
  before(() => {
    realm = new Realm();
  });
  after(() => realm.close());

  /** Starts a daemon in the background, with these log options. */
  function startInBackground(name: string, ...options: string[]) {
    const directory = join(realm.directory, name);
    mkdirSync(directory);
    const socket = join(directory, "socket");
    const pidFile = join(directory, "pid");
    const { status, err } = realm.run("ours", "munged", [
      `--socket=${socket}`,
      `--key-file=${join(realm.directory, "key")}`,
      `--config=${realm.configFile}`,
      `--pid-file=${pidFile}`,
      `--seed-file=${join(directory, "seed")}`,
      "--origin=127.0.0.1",
      ...options,
    ]);
    assert.equal(status, 0, err);
    const pid = Number(readFileSync(pidFile, "latin1"));
    const stop = () => realm.run("ours", "munged", ["--stop", `--socket=${socket}`]).status;
    return { socket, pid, stop };
  }

  test("without descriptors, keeps serving beside 500 stalling clients", {
    skip: (process.platform !== "linux" && "needs prlimit and epoll") ||
      (!isRoot && "needs root, to count the descriptors of a munged"),
  }, async () => {
    const munged = await realm.start("ours", [], ["prlimit", "--nofile=64:64"]);
    const count = () => readdirSync(`/proc/${munged.process.pid}/fd`).length;
    roundTrip(munged.socket); // starts the other threads
    let before = 0; // until they have started
    while (before !== (before = count())) await pause(200);
    const stallers = new Stallers(munged.socket, 500);
    await stallers.start();
    for (let i = 0; i < 30; i++) {
      roundTrip(munged.socket, 60 + 60 * (i % 5)); // a file for each minute in which one expires
      await pause(50);
    }
    munged.process.kill("SIGHUP");
    await until("SIGHUP", () => /Processing signal 1/.test(munged.log()));
    await stallers.stop();
    await until("closed descriptors", () => count() <= before + 8);
    roundTrip(munged.socket);
    const lines = munged.log().split("\n").filter((line) =>
      /Out of resources|Too many open files/.test(line)
    );
    const causes = new Set(lines.map((line) => line.replace(/ \(.*/, "")));
    assert.equal(lines.length, causes.size, lines.join("\n"));
    assert.equal(await munged.stop(), 0);
  });

  test("without descriptors for the replay cache, keeps it in memory, starts threads", {
    skip: process.platform !== "linux" && "needs prlimit and epoll",
  }, async () => {
    const munged = await realm.start("ours", [], ["prlimit", "--nofile=64:64"]);
    // The cache has a file for each minute in which a credential expires: more than there may be.
    for (let i = 0; i < 59; i++) roundTrip(munged.socket, 60 + 60 * i);
    await until(
      "a warning",
      () => /Failed to write replay journal .*Too many open files/.test(munged.log()),
    );
    const stallers = new Stallers(munged.socket, 100);
    await stallers.start();
    munged.process.kill("SIGHUP"); // which makes a thread read the groups
    const groupsRead = /Processing signal 1[^]*Found \d+ users? with supplementary groups/;
    await until("SIGHUP", () => groupsRead.test(munged.log()));
    await stallers.stop();
    roundTrip(munged.socket);
    assert.equal(await munged.stop(), 0);
  });

  test(
    "clients that stall and clients that keep connections leave descriptors for the replay cache",
    {
      skip: (process.platform !== "linux" && "needs prlimit and epoll") ||
        (!isRoot && "needs root, to be several users"),
    },
    async () => {
      const limit = ["prlimit", "--nofile=768:768"];
      const munged = await realm.start("ours", ["--num-threads=1"], limit);
      const own = kept(munged.socket);
      const others: number[] = [];
      const connectAs = (uid: number) => {
        process.seteuid!(uid);
        const fd = connect(munged.socket);
        process.seteuid!(0);
        if (fd >= 0) others.push(fd);
        return fd;
      };
      const keep = formatKeepRequest(0);
      const connectAll = async (count: number, firstUid: number, message: Uint8Array) => {
        for (let i = 0; i < count;) {
          const fd = connectAs(firstUid + i % 4);
          if (fd < 0) await pause(1); // the listen queue is full
          else if (sendSome(fd, message) === message.length) i++;
        }
      };
      await connectAll(4 * 60, 2001, keep); // nearly as many as each of four users may have
      await until("the kept connections", () => others.every(hasAnswer));
      await connectAll(500, 3001, keep.subarray(0, 2));
      for (let i = 0; i < 59; i++) {
        own.send(formatEncodeRequest(encodeRequest({ ttl: 60 + 60 * i }), 0));
        own.send(formatDecodeRequest({ credential: own.credential() }, 0));
        const answer = own.next();
        assert(answer !== "closed" && parseDecodeResponse(answer.body).errno === 0);
      }
      own.close();
      others.forEach(close);
      assert.equal(await munged.stop(), 0);
      assert.doesNotMatch(munged.log(), /Too many open files/);
    },
  );

  const holders = [["send and never complete", 1], ["ask for and never read", 0]] as const;
  for (const [count, payloadMax] of [[600, 1], [64, 8], [64, 64]] as const) {
    for (const [what, missing] of holders) {
      test(`keeps only part of what ${count} clients ${what}, ${payloadMax} MiB each`, {
        skip: process.platform !== "linux" && "needs /proc",
      }, async () => {
        const munged = await realm.start("ours", [`--max-payload=${payloadMax}M`]);
        const status = () => readFileSync(`/proc/${munged.process.pid}/status`, "latin1");
        const resident = (name: string) =>
          Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status())![1]) / 1024;
        roundTrip(munged.socket);
        const idle = resident("VmRSS");
        const payload = new Uint8Array(payloadMax * MIB - 576);
        const whole = formatEncodeRequest(encodeRequest({ payload }), 0);
        const message = whole.subarray(0, whole.length - missing);
        const clients = Array.from(
          { length: count },
          () => ({ fd: connect(munged.socket), sent: 0 }),
        )
          .filter(({ fd }) => fd >= 0);
        for (const end = performance.now() + 1_500; performance.now() < end;) {
          for (const client of clients) {
            if (client.sent === message.length) continue;
            client.sent += sendSome(client.fd, message.subarray(client.sent));
          }
          await pause(1);
        }
        roundTrip(munged.socket);
        const peak = resident("VmHWM");
        const most = MEMORY_FOR_CLIENTS + LONG_PAYLOADS * (payloadMax - 1);
        assert(peak < idle + most, `${idle} MiB idle, then ${peak} MiB`);
        clients.forEach(({ fd }) => close(fd));
        assert.equal(await munged.stop(), 0);
      });
    }
  }

  test("without memory for more of a user's long requests, answers the short ones before any of those times out", async () => {
    const payload = new Uint8Array(MIB - 576);
    const long = formatEncodeRequest(encodeRequest({ payload }), 0).subarray(0, -1);
    const short = formatEncodeRequest(encodeRequest({}), 0);
    for (let attempt = 1;; attempt++) {
      const munged = await realm.start("ours", ["--num-threads=1"]);
      const early = connect(munged.socket); // accepted before the others
      const clients = Array.from({ length: 40 }, () => ({ fd: connect(munged.socket), sent: 0 }));
      for (let isTaken = true; isTaken;) {
        isTaken = false;
        for (const client of clients) {
          const count = sendSome(client.fd, long.subarray(client.sent));
          client.sent += count;
          isTaken ||= count > 0;
        }
        await pause(20);
      }
      assert(clients.some(({ sent }) => sent < long.length), "munged has read them all");
      const isSent = sendSome(early, short) === short.length;
      roundTrip(munged.socket);
      const isTimedOut = () => /Timed-out/.test(munged.log());
      await until("an answer to the first client", () => hasAnswer(early) || isTimedOut());
      const timedOut = !isSent || isTimedOut();
      for (const { fd } of clients) close(fd);
      close(early);
      assert.equal(await munged.stop(), 0);
      if (!timedOut) return;
      assert(attempt < 10, "their time was over first"); // on a busy machine it may be
    }
  });

  test("without memory for all answers to 64 clients at once, makes requests wait, and truncates no answer", async () => {
    const munged = await realm.start("ours", ["--max-payload=8M"]);
    const args = ["--length=8M", "--num-threads=64", "--num-creds=64"];
    // On a busy machine some clients lose patience while they wait.
    await leastOf({ most: 32 }, async () => {
      const { out } = await runProgram(realm, "ours", "remunge", [
        `--socket=${munged.socket}`,
        ...args,
      ]);
      assert(!out.includes("Received incomplete message body"), out);
      return 64 - Number(/Processed (\d+) credentials/.exec(out)![1]);
    });
    assert.equal(await munged.stop(), 0);
  });

  test("without space for its log, keeps serving, and later reports how much is missing", {
    skip: !isRoot && "needs root, to mount a file system",
  }, async (t) => {
    const directory = join(realm.directory, "full");
    mkdirSync(directory);
    const mounted = spawnSync("mount", [
      "-t",
      "tmpfs",
      "-o",
      "size=16k,mode=755",
      "none",
      directory,
    ]);
    if (mounted.status !== 0) return t.skip("can't mount a file system here");
    try {
      chmodSync(directory, 0o755);
      const logFile = join(directory, "log");
      const { socket, pid, stop } = startInBackground("full-log", `--log-file=${logFile}`);
      assert.throws(() => writeFileSync(join(directory, "filler"), new Uint8Array(1 << 20)));
      await until("a full page", () => {
        process.kill(pid, "SIGHUP");
        return statSync(logFile).size % PAGE === 0;
      });
      for (let times = 0; times < 50; times++) { // what these cause is lost
        process.kill(pid, "SIGHUP");
        await pause(20);
      }
      roundTrip(socket);
      assert.equal(spawnSync("mount", ["-o", "remount,size=1m", directory]).status, 0);
      await until("a line about lost ones", () => {
        process.kill(pid, "SIGHUP");
        return /Warning: +Lost \d+ log messages/.test(readFileSync(logFile, "latin1"));
      });
      assert.equal(stop(), 0);
      assert.match(readFileSync(logFile, "latin1"), /Stopping munge-/);
    } finally {
      spawnSync("umount", ["--lazy", directory]);
    }
  });

  test("without its log file, keeps serving, and makes a new one on SIGHUP", async () => {
    const logFile = join(realm.directory, "moved.log");
    const { socket, pid, stop } = startInBackground("moved-log", `--log-file=${logFile}`);
    renameSync(logFile, `${logFile}.1`);
    await exchange(socket, GARBAGE);
    roundTrip(socket);
    assert(!existsSync(logFile));
    mkdirSync(logFile); // prevents a new log file, but nothing else that SIGHUP does
    process.kill(pid, "SIGHUP");
    const old = () => readFileSync(`${logFile}.1`, "latin1");
    await until("groups", () => /Failed to open logfile[^]*Found \d+ users? with/.test(old()));
    rmdirSync(logFile);
    process.kill(pid, "SIGHUP");
    await until("a new log file", () => existsSync(logFile));
    await exchange(socket, GARBAGE);
    await until("a new line", () => /invalid message magic/.test(readFileSync(logFile, "latin1")));
    assert.equal(stop(), 0);
  });

  test("without syslog, keeps serving", async () => {
    const { socket, stop } = startInBackground("syslog", "--syslog");
    for (let i = 0; i < 20; i++) await exchange(socket, GARBAGE);
    roundTrip(socket);
    assert.equal(stop(), 0);
  });
});
