// The upkeep of a running replay cache: it tidies up, sets space aside, and syncs decodes to disk.
import assert from "node:assert/strict";
import { readdirSync, rmSync } from "node:fs";
import { test } from "node:test";
import { ReplayCache } from "../../../../daemon/munged/replay/cache.ts";
import { createReplayState, ENTRY, findMinute } from "../../../../daemon/munged/replay/minutes.ts";
import { ReplayUpkeep } from "../../../../daemon/munged/replay/upkeep.ts";
import { replayUsage } from "../../../../daemon/munged/replay/usage.ts";
import { memoryLogger } from "../../memory_logger.ts";
import { withDirectory } from "../../../harness/scratch.ts";
import { insert, NOW, randomKeys } from "./presenting.ts";
import { until } from "../../../harness/until.ts";

test("tidying up drops what has expired, sets space aside and says when there is more to do", async () => {
  await withDirectory(async (directory) => {
    const state = createReplayState(directory);
    const log = memoryLogger();
    const upkeep = new ReplayUpkeep(state, { syncMilliseconds: 100, drift: 0 }, log);
    upkeep.start();
    assert.deepEqual(readdirSync(directory), []); // munged's start does not wait for it
    await until("space is set aside", () => readdirSync(directory).length > 0);
    const spares = readdirSync(directory);
    assert.equal(upkeep.tidy(), Infinity);
    insert(new ReplayCache(state), randomKeys(1), Math.floor(Date.now() / 1000) - 600);
    assert.notDeepEqual(readdirSync(directory), spares);
    assert.equal(upkeep.tidy(), 0);
    assert.equal(replayUsage(state).entries, 0);
    spares.forEach((name) => assert(readdirSync(directory).includes(name)));
    // Without a directory nothing can be set aside, which is tried again.
    rmSync(directory, { recursive: true });
    upkeep.tidy();
    assert.equal(upkeep.tidy(), 0);
    assert.match(log.lines.join(), /Failed to /);
    await upkeep.stop();
  });
});

test("decodes are synced after the configured time, and when munged stops", async () => {
  await withDirectory(async (directory) => {
    const state = createReplayState(directory);
    const words = new Int32Array(state.shared);
    const isUnsynced = () => words[findMinute(words, NOW / 60)! + ENTRY.unsynced] === 1;
    const log = memoryLogger();
    const upkeep = new ReplayUpkeep(state, { syncMilliseconds: 100, drift: 0 }, log);
    upkeep.start();
    const cache = new ReplayCache(state);
    for (let round = 0; round < 3; round++) {
      insert(cache, randomKeys(1), NOW);
      assert.equal(isUnsynced(), true);
      await until("it is synced", () => !isUnsynced());
    }
    insert(cache, randomKeys(1), NOW);
    await upkeep.stop();
    assert.equal(isUnsynced(), false);
    assert.equal(upkeep.tidy(), Infinity);
    // A descriptor that can't be synced is reported, and retried the next time.
    words[findMinute(words, NOW / 60)! + ENTRY.unsynced] = 1;
    words[findMinute(words, NOW / 60)! + ENTRY.journal] = 99_999;
    await new ReplayUpkeep(state, { syncMilliseconds: 100, drift: 0 }, log).stop();
    assert.match(log.lines.join(), /Failed to write the replay cache to disk: Bad file descriptor/);
  });
});
