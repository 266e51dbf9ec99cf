// An idle munged that asks a replay store gives up its connection, and sleeps until there is something to ask again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { idleFigures } from "../../scripts/benchmarks/idle.ts";
import { type Host, Hosts, outcome, until } from "../replay_store/hosts.ts";
import { hasRedis, Redis } from "../replay_store/redis.ts";

/** This long after it has closed its connection, it must be asleep. */
const SETTLE_MS = 10_000;
const SECONDS = 10;
const WAKE_UPS = 2;

test(
  "a munged that asks its replay store nothing has no connection, and sleeps",
  { skip: !hasRedis && "Debian's redis packages are not installed" },
  async () => {
    const redis = await Redis.start();
    const hosts = await Hosts.start([
      `--replay-store=redis://127.0.0.1:${redis.port}`,
      "--timestamp-drift-max=0",
    ]);
    try {
      await hosts.connected();
      const [a, b] = hosts.hosts as [Host, Host];
      const connections = () =>
        Number(/^connected_clients:(\d+)/m.exec(redis.command("INFO"))![1]) - 1;
      assert.equal(connections(), 2);
      assert.equal(await outcome(b, await a.munge.encode()), "ok");
      await until(() => connections() === 0, 60_000);
      await pause(SETTLE_MS);
      const { wakeUps } = await idleFigures(a.munged.process.pid!, SECONDS);
      const total = Object.values(wakeUps).reduce((sum, count) => sum + count, 0);
      assert(total <= WAKE_UPS, JSON.stringify(wakeUps));
      const credential = await a.munge.encode();
      assert.equal(await outcome(b, credential), "ok");
      assert.equal(await outcome(a, credential), "EMUNGE_CRED_REPLAYED");
      assert.equal(hosts.status(0).replay_store!.connects, 2);
      assert.equal(a.munged.log().match(/Connected to replay store/g)!.length, 1);
    } finally {
      await hosts.close();
      await redis.close();
    }
  },
);
