// A munged that starts with too many threads, loses its socket, or ends: it leaves nothing behind, and nothing keeps it
// from ending.
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { isRoot } from "../harness/programs.ts";
import { Realm } from "../harness/realm.ts";
import { until } from "../harness/until.ts";
import { encodeRequest } from "../requests.ts";
import { leastOf, runProgram } from "./load.ts";
import { suite } from "../suite.ts";

function encode(socket: string): number {
  return new BlockingClient(socket).encode(encodeRequest()).errno;
}

suite("munged", process.platform !== "linux" && "needs inotify", () => {
  let realm: Realm;
  before(() => {
    realm = new Realm();
  });
  after(() => realm.close());

  test("with 256 threads requested, starts only as many as are useful, and quickly", async () => {
    const startTime = async (threads: number) => {
      const begun = performance.now();
      const munged = await realm.start("ours", [`--num-threads=${threads}`]);
      const took = performance.now() - begun;
      await munged.stop();
      return took;
    };
    await leastOf({ most: 3 }, async () => {
      const useful = await startTime(16);
      return await startTime(256) / useful;
    });
    const munged = await realm.start("ours", ["--num-threads=256"]);
    const lowered = /Warning: Lowered number of threads from 256 to (\d+)/.exec(munged.log());
    assert(lowered !== null && Number(lowered[1]) >= 16, munged.log());
    assert.match(munged.log(), new RegExp(`Created ${lowered[1]} work threads`));
    assert.equal(encode(munged.socket), 0);
    const tasks = `/proc/${munged.process.pid}/task`;
    await until("all threads", () => readdirSync(tasks).length > Number(lowered[1]));
    if (isRoot) { // munged lets no other user look into it
      const rollup = readFileSync(`/proc/${munged.process.pid}/smaps_rollup`, "latin1");
      const privateMiB = Number(/^Anonymous:\s+(\d+)/m.exec(rollup)![1]) / 1024;
      assert(privateMiB < 150, `${privateMiB} MiB`);
    }
    assert.equal(await munged.stop(), 0);
  });

  test("completes its shutdown even if one step fails", async () => {
    const metrics = join(realm.directory, "metrics");
    mkdirSync(metrics);
    const munged = await realm.start("ours", [`--metrics-file=${metrics}/munged.prom`]);
    const seed = munged.socket.replace(/socket$/, "seed");
    assert(!existsSync(seed));
    rmSync(metrics, { recursive: true });
    writeFileSync(metrics, ""); // not a directory, so nothing can be removed from it
    assert.equal(await munged.stop(), 0);
    assert.match(munged.log(), /Warning: Failed to \w+ metrics file .*: Not a directory/);
    for (const file of ["socket", "socket.lock", "pid"]) {
      assert(!existsSync(munged.socket.replace(/socket$/, file)), `${file} is left behind`);
    }
    assert.equal(statSync(seed).size, 1024);
    assert.match(munged.log(), /Stopping munge-/);
  });

  test("leaves nothing behind if it can't start", () => {
    const base = join(realm.directory, "failing");
    mkdirSync(base);
    const { status, err } = realm.run("ours", "munged", [
      "--foreground",
      `--socket=${base}/socket`,
      `--key-file=${realm.directory}/key`,
      `--config=${realm.configFile}`,
      `--pid-file=${base}/no/such/directory/pid`,
      `--seed-file=${base}/seed`,
      "--origin=127.0.0.1",
    ]);
    assert.equal(status, 1);
    assert.match(err, /no\/such\/directory/);
    for (const file of ["socket", "socket.lock"]) assert(!existsSync(join(base, file)), file);
  });

  for (const isWholeDirectory of [false, true]) {
    test(`recreates its socket when ${isWholeDirectory ? "its directory" : "it"} is removed`, async () => {
      const munged = await realm.start("ours");
      const { socket } = munged;
      const directory = join(socket, "..");
      const pidFile = join(directory, "pid");
      const pid = readFileSync(pidFile, "latin1");
      if (isWholeDirectory) rmSync(directory, { recursive: true });
      else rmSync(socket);
      await until("a new socket", () => existsSync(socket));
      for (let i = 0; i < 20; i++) assert.equal(encode(socket), 0);
      const isWhole = () => existsSync(pidFile) && readFileSync(pidFile, "latin1") === pid;
      await until("a PID file", isWhole);
      await until("a line in the log", () => /Created socket ".*" again/.test(munged.log()));
      const stop = await runProgram(realm, "ours", "munged", ["--stop", `--socket=${socket}`]);
      assert.equal(stop.status, 0);
      assert(!existsSync(socket) && !existsSync(`${socket}.lock`));
    });
  }

  test("gives its files the right modes under a umask of 0777", async () => {
    const restrained = ["/bin/sh", "-c", 'umask 0777; exec "$@"', "sh"];
    const munged = await realm.start("ours", [], restrained);
    const { socket } = munged;
    const directory = join(socket, "..");
    const modeOf = (name: string) => statSync(join(directory, name)).mode & 0o777;
    assert.equal(modeOf("munged.replay"), 0o700);
    for (const name of readdirSync(join(directory, "munged.replay"))) {
      assert.equal(modeOf(join("munged.replay", name)) & 0o200, 0o200, name);
    }
    assert.equal(modeOf("pid"), 0o644);
    rmSync(directory, { recursive: true });
    await until("a new socket", () => existsSync(socket));
    assert.equal(modeOf("."), 0o755);
    assert.equal(modeOf("socket"), 0o777);
    assert.equal(await munged.stop(), 0);
  });

  test("leaves alone the socket of another munged that took its place", async () => {
    const first = await realm.start("ours");
    const [, second] = [first, await realm.start("ours", [`--socket=${first.socket}`, "--force"])];
    await pause(1_000);
    assert.doesNotMatch(first.log(), /again/);
    assert.equal(await first.stop(), 0);
    assert.equal(encode(first.socket), 0);
    assert.equal(await second.stop(), 0);
  });
});
