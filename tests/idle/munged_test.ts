// An idle munged sleeps, because every wake-up disturbs the tightly coupled jobs of compute nodes.
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { idleFigures } from "../../scripts/bench_idle.ts";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { Realm } from "../harness/realm.ts";
import { encodeRequest } from "../requests.ts";

/** How long after its last request it must be asleep. */
const SETTLE_MS = 45_000;
const SECONDS = 60;
const WAKE_UPS_A_MINUTE = 4;

/** The modification time of each file below a directory. */
function modificationTimes(directory: string): Record<string, number> {
  const names = readdirSync(directory, { recursive: true, encoding: "utf8" });
  return Object.fromEntries(names.map((name) => [name, statSync(join(directory, name)).mtimeMs]));
}

test("an idle munged wakes up at most 4 times a minute, uses no CPU time and writes to no file", {
  skip: process.platform !== "linux" && "needs /proc",
}, async () => {
  const realm = new Realm();
  try {
    const munged = await realm.start("ours");
    const client = new BlockingClient(munged.socket);
    const { credential } = client.encode(encodeRequest());
    assert.equal(client.decode({ credential: credential.slice() }).errno, 0);
    await pause(SETTLE_MS);
    const before = modificationTimes(dirname(munged.socket));
    const { wakeUps, cpuSeconds } = await idleFigures(munged.process.pid!, SECONDS);
    const total = Object.values(wakeUps).reduce((sum, count) => sum + count, 0);
    assert(total <= WAKE_UPS_A_MINUTE, JSON.stringify(wakeUps));
    assert.equal(cpuSeconds, 0);
    assert.deepEqual(modificationTimes(dirname(munged.socket)), before);
    assert.equal(await munged.stop(), 0);
  } finally {
    await realm.close();
  }
});
