// What a running munged reports about itself: status, metrics, audit lines. And munge --renew.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { METRICS } from "../../daemon/munged/observe/metrics.ts";
import type { Status } from "../../daemon/munged/observe/status.ts";
import { sealCredential } from "../../lib/offline/offline.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { hasReference, isRoot } from "../harness/programs.ts";
import { until } from "../harness/until.ts";

const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;
const MONITORING = resolve(import.meta.dirname, "../../docs/monitoring");

describe("a munged that is asked for its status", () => {
  let realm: Realm;
  let munged: Munged;
  let metricsFile: string;

  const askStatus = (options: { uid?: number; gid?: number } = {}, ...args: string[]) =>
    realm.run("ours", "munged", ["--status", "-S", munged.socket, ...args], options);
  const status = () => JSON.parse(askStatus({}, "--json").out) as Status;
  const unmunge = (input: string) =>
    realm.run("ours", "unmunge", ["-n", "-S", munged.socket], { input }).status;

  before(async () => {
    realm = new Realm();
    metricsFile = join(realm.directory, "munged.prom");
    munged = await realm.start("ours", [`--metrics-file=${metricsFile}`, "--log-format=json"]);
  });
  after(() => realm.close());

  it("counts requests by kind and result", async () => {
    const before = status().requests;
    const { out } = realm.run("ours", "munge", ["-n", "-S", munged.socket]);
    assert.equal(unmunge(out), 0);
    for (let count = 0; count < 3; count++) assert.equal(unmunge(out), 17);
    const foreign = await sealCredential({ uid: 1, gid: 1 }, new Uint8Array(32));
    assert.equal(unmunge(foreign), 14);
    const encodeTime = new Date(Date.now() + 1_000_000);
    const rewound = await sealCredential({ uid: 1, gid: 1, encodeTime }, realm.key);
    assert.equal(unmunge(rewound), 16);
    const { requests, workers, replay, realms, hints, ...rest } = status();
    const grown = (result: string) => requests.decode[result]! - (before.decode[result] ?? 0);
    assert.equal(requests.encode["success"]! - before.encode["success"]!, 1);
    assert.equal(grown("success"), 1);
    assert.equal(grown("cred_replayed"), 3);
    assert.equal(grown("cred_invalid"), 1);
    assert.equal(grown("cred_rewound"), 1);
    assert(workers.length === 2 && workers.some(({ requests }) => requests > 0));
    assert.equal(replay?.entries, 1);
    assert.match(realms[0]!.keys[0]!.fingerprint, /^[0-9a-f]{16}$/);
    assert(rest.rewound_skew_seconds_max > 990 && rest.rewound_skew_seconds_max <= 1000);
    assert(rest.duration.timed > 0 && rest.duration.p50_us <= rest.duration.p99_us);
    assert(hints.some((hint) => /made with a key that is not in this ring/.test(hint)));
    assert(hints.some((hint) => /from the future, by up to \d+ s/.test(hint)));
  });

  it("reports it in a form for people as well", () => {
    const { out, status } = askStatus();
    assert.equal(status, 0);
    assert.match(out, /^DECODE: +\d+ success, .*cred_replayed/m);
    assert.match(out, /^KEY: +default realm: active [0-9a-f]{16} since /m);
    assert.match(out, /^HINT: /m);
  });

  it("answers root and its own user, and disconnects others", { skip: !isRoot }, () => {
    assert.equal(askStatus({ uid: 0, gid: 5 }).status, 0);
    const { status, err, out } = askStatus({ uid: 1, gid: 1 });
    assert.equal(status, 6);
    assert.match(err, /reports its status to root and its own user only/);
    assert.equal(out, "");
  });

  it("is reported as timed out, not as refusing, if it is stopped", async () => {
    const stopped = await realm.start("ours");
    stopped.process.kill("SIGSTOP");
    const { status, err } = realm.run("ours", "munged", ["--status", "-S", stopped.socket]);
    stopped.process.kill("SIGCONT");
    assert.equal(status, 6);
    assert.equal(err, "munged: Error: Failed to receive message header: Timed-out\n");
    assert.equal(await stopped.stop(), 0);
  });

  it(
    "the reference, asked for its status, disconnects and continues",
    { skip: !hasReference },
    async () => {
      const reference = await realm.start("reference", ["--force"]);
      const asked = realm.run("ours", "munged", ["--status", "-S", reference.socket]);
      assert.equal(asked.status, 6);
      assert.equal(realm.run("reference", "munge", ["-n", "-S", reference.socket]).status, 0);
      await reference.stop();
    },
  );

  it("logs refusals, up to a limit", async () => {
    const { out } = realm.run("ours", "munge", ["-n", "-S", munged.socket]);
    for (let count = 0; count < 40; count++) unmunge(out);
    const refusals = () => {
      const lines = munged.log().split("\n").slice(0, -1).map((line) => JSON.parse(line));
      return lines.filter(({ message, cause }) =>
        message === "Refused decode" && cause === "cred_replayed"
      );
    };
    await until("the lines", () => refusals().length >= 5);
    await pause(100); // time for more lines than there should be
    const refused = refusals();
    assert(refused.length >= 5 && refused.length <= 10, `${refused.length} lines`);
    const { client_uid, origin, realm: name, uid } = refused[0];
    assert.deepEqual({ client_uid, origin, name, uid }, {
      client_uid: process.getuid!(),
      origin: "127.0.0.1",
      name: "-",
      uid: process.getuid!(),
    });
  });

  it("maintains the metrics file, which Prometheus accepts", { skip: !hasPromtool }, async () => {
    const { out } = realm.run("ours", "munge", ["-n", "-S", munged.socket]);
    assert.deepEqual([unmunge(out), unmunge(out)], [0, 17]);
    const inode = statSync(metricsFile).ino;
    const deadline = performance.now() + 60_000;
    while (statSync(metricsFile).ino === inode) {
      assert(performance.now() < deadline);
      await pause(200);
    }
    const text = readFileSync(metricsFile, "utf8");
    const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: text });
    assert.equal(status, 0, `${stdout}${stderr}`);
    assert.match(text, /^munged_requests_total\{kind="decode",result="cred_replayed"\} [1-9]/m);
    await munged.stop();
    assert(!existsSync(metricsFile), "stale numbers would look current");
  });
});

describe("docs/monitoring", () => {
  it("has alert rules that Prometheus accepts", { skip: !hasPromtool }, () => {
    const { status, stdout } = spawnSync("promtool", [
      "check",
      "rules",
      join(MONITORING, "alerts.yml"),
    ]);
    assert.equal(status, 0, stdout.toString());
  });

  for (const file of ["alerts.yml", "dashboard.json"]) {
    it(`${file} uses only existing metrics`, () => {
      const text = readFileSync(join(MONITORING, file), "utf8");
      if (file.endsWith(".json")) JSON.parse(text);
      const names = new Set(METRICS.map(({ name }) => name));
      const asked = text.match(/\bmunged_[a-z_]+\b/g) ?? [];
      assert(asked.length > 5);
      for (const name of asked) {
        assert(names.has(name.replace(/_bucket$/, "")), name);
      }
    });
  }
});

describe("munge --renew", () => {
  it("keeps a fresh credential in a file, atomically replaced, until stopped", async () => {
    const realm = new Realm();
    try {
      const munged = await realm.start("ours", ["--ttl=4"]);
      mkdirSync(join(realm.directory, "out"));
      const output = join(realm.directory, "out/credential");
      const args = ["--renew", "-n", `--output=${output}`, "-S", munged.socket];
      const renewer = spawn(realm.program("ours", "munge"), args, { stdio: "ignore" });
      const ended = new Promise((done) => renewer.once("exit", done));
      const seen = new Set<string>();
      const deadline = performance.now() + 60_000;
      while (seen.size < 4) {
        assert(performance.now() < deadline);
        await pause(50);
        if (!existsSync(output)) continue;
        const credential = readFileSync(output, "latin1");
        assert.match(credential, /^MUNGE:[A-Za-z0-9+/=]+:\n$/);
        if (seen.has(credential)) continue;
        seen.add(credential);
        const opened = realm.run("ours", "unmunge", ["-S", munged.socket, "-k", "TTL"], {
          input: credential,
        });
        assert.deepEqual([opened.status, opened.out.trim()], [0, "TTL:             4"]);
      }
      assert.equal(statSync(output).mode & 0o777, 0o600);
      renewer.kill("SIGTERM");
      assert.equal(await ended, 0);
      const toNowhere = realm.run("ours", "munge", ["--renew", "-n", "-S", munged.socket]);
      assert.equal(toNowhere.status, 1);
    } finally {
      await realm.close();
    }
  });
});
