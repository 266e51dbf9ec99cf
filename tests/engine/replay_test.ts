// Replays, seen from outside: found among simultaneous clients, and after restarts and crashes. What the cache
// does by itself is in tests/daemon/munged/replay, full disks are in full_disk_test.ts.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { ERRNO } from "../../lib/errors.ts";
import { formatDecodeRequest, MESSAGE_TIMEOUT_MS } from "../../lib/protocol/message.ts";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { close } from "../../lib/os/socket.ts";
import { rawDecode } from "../interop/raw.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { encodeRequest } from "../requests.ts";
import { connect, HangUps, sendSome } from "./connection.ts";
import type { Decoding } from "./decoder.ts";
import type { Race } from "./racer.ts";
import { until } from "../harness/until.ts";

const SUCCESS = 0;
const { EMUNGE_CRED_EXPIRED, EMUNGE_CRED_REPLAYED } = ERRNO;
const THREADS = 4;
const CLIENTS_PER_THREAD = 16;
const CREDENTIALS = 10_000;
/** How many must be raced for within {@linkcode RACE_MS}, even on a busy machine. */
const LEAST_CREDENTIALS = 500;
const RACE_MS = 60_000;

function encode(socket: string, count: number, ttl = 300): Uint8Array[] {
  const client = new BlockingClient(socket);
  const request = encodeRequest({ ttl });
  return Array.from({ length: count }, () => {
    const { errno, credential } = client.encode(request);
    assert.equal(errno, SUCCESS);
    return credential.slice();
  });
}

function decode(socket: string, credential: Uint8Array): number {
  return new BlockingClient(socket).decode({ credential }).errno;
}

describe("replays", () => {
  let realm: Realm;
  let directory: string;
  const running: Munged[] = [];
  const threads: Worker[] = [];
  const start = async (...args: string[]) => {
    const munged = await realm.start("ours", [`--replay-dir=${directory}`, ...args]);
    running.push(munged);
    return munged;
  };
  const hasEnded = ({ process: { exitCode, signalCode } }: Munged) =>
    exitCode !== null || signalCode !== null;
  async function crash(munged: Munged): Promise<void> {
    const ended = once(munged.process, "exit");
    munged.process.kill("SIGKILL");
    await ended;
  }
  before(() => {
    realm = new Realm();
    directory = join(realm.directory, "replay");
  });
  afterEach(async () => { // left by a failed test
    threads.splice(0).forEach((thread) => thread.terminate());
    await Promise.all(
      running.splice(0).map((munged) => hasEnded(munged) ? undefined : crash(munged)),
    );
  });
  after(() => realm.close());

  test("of 64 clients with one credential exactly one succeeds, up to 10,000 times", async () => {
    const { socket, ...munged } = await start();
    const requests = encode(socket, CREDENTIALS, 3600).map((credential) =>
      formatDecodeRequest({ credential }, 0)
    );
    const outcomes = new SharedArrayBuffer(CREDENTIALS * 3 * 4);
    const workerData: Race = {
      socket,
      requests,
      clients: CLIENTS_PER_THREAD,
      threads: THREADS,
      progress: new SharedArrayBuffer(8),
      milliseconds: RACE_MS,
      outcomes,
    };
    const file = new URL("racer.ts", import.meta.url);
    for (let i = 0; i < THREADS; i++) threads.push(new Worker(file, { workerData }));
    await Promise.all(threads.map((thread) => once(thread, "message")));
    const [, end] = new Int32Array(workerData.progress);
    const raced = end === 0 ? CREDENTIALS : end!;
    assert.ok(raced >= LEAST_CREDENTIALS, `${raced} credentials`);
    const counts = new Int32Array(outcomes);
    let unanswered = 0;
    for (let i = 0; i < raced; i++) {
      const [accepted, replayed, others] = counts.subarray(i * 3, i * 3 + 3);
      const context = `credential ${i}: ${accepted} ${replayed} ${others}`;
      assert.equal(accepted, 1, context);
      assert.equal(replayed! + others!, THREADS * CLIENTS_PER_THREAD - 1, context);
      unanswered += others!;
    }
    // A client that takes two seconds to send its request, on a busy machine, is disconnected.
    assert.ok(unanswered <= THREADS * CLIENTS_PER_THREAD, `${unanswered} without an answer`);
    await munged.stop();
  });

  test("a munged that is killed in the middle of decoding forgets nothing it has answered", async () => {
    let munged = await start();
    let rechecked = 0;
    for (let round = 0; round < 3; round++) {
      const { socket } = munged;
      const credentials = encode(socket, 8_000);
      const accepted = new SharedArrayBuffer(credentials.length);
      const decoders = Array.from({ length: 2 }, (_, first) => {
        const workerData: Decoding = { socket, credentials, first, step: 2, accepted };
        return new Worker(new URL("decoder.ts", import.meta.url), { workerData });
      });
      threads.push(...decoders);
      const ended = decoders.map((thread) => once(thread, "message"));
      const marks = new Uint8Array(accepted);
      const some = 300 + round * 900;
      while (marks.reduce((sum, mark) => sum + mark, 0) < some) await pause(1);
      await crash(munged);
      munged = await start();
      await Promise.all(ended);
      credentials.forEach((credential, i) => {
        if (marks[i] === 0) return;
        rechecked++;
        assert.equal(decode(munged.socket, credential), EMUNGE_CRED_REPLAYED, `round ${round}`);
      });
    }
    assert.ok(rechecked > 3 * 300, `${rechecked} rechecked`);
    assert.equal(await munged.stop(), 0);
  });

  test("a credential decoded before a restart, and before a crash, is a replay until it expires", async () => {
    let munged = await start();
    const [early] = encode(munged.socket, 1);
    const [late] = encode(munged.socket, 1, 15);
    assert.equal(decode(munged.socket, early!), SUCCESS);
    await munged.stop();
    munged = await start();
    assert.equal(decode(munged.socket, early!), EMUNGE_CRED_REPLAYED);
    assert.equal(decode(munged.socket, late!), SUCCESS);
    await crash(munged);
    munged = await start();
    assert.equal(decode(munged.socket, early!), EMUNGE_CRED_REPLAYED);
    assert.equal(decode(munged.socket, late!), EMUNGE_CRED_REPLAYED);
    await until("it has expired", () => decode(munged.socket, late!) === EMUNGE_CRED_EXPIRED);
    for (const name of readdirSync(directory)) {
      assert.equal(statSync(join(directory, name)).mode & 0o777, 0o600, name);
    }
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    await munged.stop();
  });

  test("with --replay-sync=0 each decode is on disk before its answer", {
    skip: spawnSync("strace", ["--version"]).status !== 0 && "strace is not installed",
  }, async () => {
    const trace = join(realm.directory, "trace");
    const strace = ["strace", "-D", "-f", "-o", trace, "-e", "trace=pwrite64,fdatasync,sendto"];
    const munged = await realm.start("ours", [
      `--replay-dir=${directory}`,
      "--replay-sync=0",
      "--num-threads=1",
    ], strace);
    running.push(munged);
    const credentials = encode(munged.socket, 3);
    for (const each of credentials) assert.equal(decode(munged.socket, each), SUCCESS);
    await munged.stop();
    const calls = readFileSync(trace, "latin1").match(
      /(?<=^\d+ +)(pwrite64|fdatasync|sendto)(?=\()/gm,
    );
    // The last answer's, before the journals are synced at the end.
    const last = calls!.slice(0, calls!.lastIndexOf("sendto") + 1);
    const decodes = last.slice(last.indexOf("pwrite64")).join(" ");
    assert.match(decodes, /(pwrite64 fdatasync sendto ?){3}$/);
  });

  test("an answer that is never read makes a credential new again, and until then no retry is believed", async () => {
    const { socket, ...munged } = await start();
    const request = encodeRequest({ payload: new Uint8Array(1_000_000) }); // no socket's buffer has room
    const watch = new HangUps();
    for (let proofs = 0, tries = 1; proofs < 2; tries++) {
      assert(tries < 20, "munged had given up each answer before the others came");
      const credential = new BlockingClient(socket).encode(request).credential.slice();
      const client = connect(socket, 0);
      const begun = performance.now();
      const message = formatDecodeRequest({ credential }, 0);
      for (let sent = 0; sent < message.length;) sent += sendSome(client, message.subarray(sent));
      watch.add(client, true);
      assert.deepEqual(watch.wait(60_000), [client]); // the answer has begun to come, and is not read
      // From the same process, which is still served.
      const { errno } = await rawDecode(socket, { credential }, 1);
      const again = decode(socket, credential);
      close(client);
      if (performance.now() - begun >= MESSAGE_TIMEOUT_MS) continue; // on a busy machine
      proofs++;
      assert.deepEqual([errno, again], [EMUNGE_CRED_REPLAYED, EMUNGE_CRED_REPLAYED]);
      await until("munged has noticed", () => decode(socket, credential) === SUCCESS);
      assert.equal(decode(socket, credential), EMUNGE_CRED_REPLAYED);
    }
    assert.equal(await munged.stop(), 0);
  });

  test("damaged and foreign files are set aside with a warning", async () => {
    let munged = await start();
    const [credential] = encode(munged.socket, 1);
    assert.equal(decode(munged.socket, credential!), SUCCESS);
    await crash(munged);
    const tables = readdirSync(directory).filter((name) => /^\d+$/.test(name));
    assert.notEqual(tables.length, 0);
    for (const name of tables) writeFileSync(join(directory, name), "foreign".repeat(100));
    mkdirSync(join(directory, "12345"));
    writeFileSync(join(directory, "notes"), "not ours");

    munged = await start();
    for (const name of [...tables, "12345"]) {
      assert(
        munged.log().includes(
          `Warning: Set aside damaged replay cache file "${directory}/${name}"`,
        ),
      );
      assert(existsSync(join(directory, `${name}.damaged`)));
    }
    assert.equal(decode(munged.socket, credential!), SUCCESS);
    assert.equal(decode(munged.socket, credential!), EMUNGE_CRED_REPLAYED);
    await munged.stop();
  });

  test("a munged that ends after its successor has started does not disturb it", async () => {
    const first = await start();
    const { socket } = first;
    const home = join(socket, "..");
    const [credential] = encode(socket, 1);
    assert.equal(decode(socket, credential!), SUCCESS);
    const stalled = connect(socket, 0); // munged waits for it when it stops
    sendSome(stalled, new Uint8Array(1));
    await pause(100);
    const ended = first.stop();
    const paths = ["socket", "pid", "seed"].map((name) =>
      `--${name === "socket" ? name : `${name}-file`}=${join(home, name)}`
    );
    const key = `--key-file=${join(realm.directory, "key")}`;
    const { status, err } = realm.run("ours", "munged", [
      ...paths,
      key,
      `--config=${realm.configFile}`,
      `--replay-dir=${directory}`,
      `--log-file=${join(home, "log")}`,
      "--origin=127.0.0.1",
      "--force",
    ]);
    assert.equal(status, 0, err);
    assert.equal(await ended, 0);
    close(stalled);
    assert.equal(decode(socket, credential!), EMUNGE_CRED_REPLAYED);
    const pid = Number(readFileSync(join(home, "pid"), "latin1"));
    assert(pid > 0 && pid !== first.process.pid);
    assert.equal(realm.run("ours", "munged", ["--stop", `--socket=${socket}`]).status, 0);
    assert.deepEqual(readdirSync(home).filter((name) => /^(socket|pid)/.test(name)), []);
  });

  test("two daemons can't share a directory", async () => {
    const first = await start();
    const [credential] = encode(first.socket, 1);
    const second = await start();
    assert.match(second.log(), /Warning: Failed to use replay cache directory .*in use by another/);
    assert.equal(decode(first.socket, credential!), SUCCESS);
    assert.equal(decode(second.socket, credential!), SUCCESS);
    assert.equal(decode(second.socket, credential!), EMUNGE_CRED_REPLAYED);
    await second.stop();
    const third = await start();
    assert.match(
      third.log(),
      /in use by another/,
      "the second one's end let go of the first one's lock",
    );
    await third.stop();
    await first.stop();
  });

  test("--no-replay-dir keeps replays in memory, --benchmark does not look for them", async () => {
    const munged = await realm.start("ours", ["--no-replay-dir"]);
    const [credential] = encode(munged.socket, 1);
    assert.equal(decode(munged.socket, credential!), SUCCESS);
    assert.equal(decode(munged.socket, credential!), EMUNGE_CRED_REPLAYED);
    assert(!readdirSync(join(munged.socket, "..")).some((name) => name.includes("replay")));
    await munged.stop();
    const benchmark = await realm.start("ours", ["--benchmark"]);
    assert.equal(decode(benchmark.socket, credential!), SUCCESS);
    assert.equal(decode(benchmark.socket, credential!), SUCCESS);
    assert(!readdirSync(join(benchmark.socket, "..")).some((name) => name.includes("replay")));
    await benchmark.stop();
  });
});
