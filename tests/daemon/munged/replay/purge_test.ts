// The replay cache over time: expired tables are dropped, and nothing is forgotten because a clock was wrong for a while or a
// different --timestamp-drift-max was in force.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { ReplayCache } from "../../../../daemon/munged/replay/cache.ts";
import {
  createReplayState,
  findMinute,
  type ReplayState,
  tableOf,
} from "../../../../daemon/munged/replay/minutes.ts";
import { ReplayPurge } from "../../../../daemon/munged/replay/purge.ts";
import { takeOverJournals } from "../../../../daemon/munged/replay/takeover.ts";
import { replayUsage } from "../../../../daemon/munged/replay/usage.ts";
import { withDirectory } from "../../../harness/scratch.ts";
import { insert, NOW, randomKeys } from "./presenting.ts";

const MINUTE = 60_000;

/** A purge once a minute, with the clock `ahead` seconds ahead. */
function purging(state: ReplayState) {
  const purge = new ReplayPurge(state);
  let uptime = 0;
  return (minutes: number, ahead: number, drift = 0) => {
    for (let i = 0; i < minutes; i++) {
      purge.purge(NOW + uptime / 1000 + ahead, drift, uptime);
      uptime += MINUTE;
    }
  };
}

test("a purge says when there is more to drop, and nothing is left after the last time", () => {
  withDirectory((directory) => {
    const state = createReplayState(directory);
    const cache = new ReplayCache(state);
    const purge = new ReplayPurge(state);
    let uptime = 0;
    const after = (milliseconds: number) => {
      uptime += milliseconds;
      const wait = purge.purge(NOW + uptime / 1000, 0, uptime);
      return { wait, entries: replayUsage(state).entries, journals: readdirSync(directory).length };
    };
    assert.deepEqual(after(0), { wait: Infinity, entries: 0, journals: 0 });
    insert(cache, randomKeys(1), NOW);
    const untilExpired = 121_000; // the rest of its minute, one of grace, and a second
    assert.deepEqual(after(0), { wait: untilExpired, entries: 1, journals: 1 });
    assert.deepEqual(after(untilExpired - 1000), { wait: 1000, entries: 1, journals: 1 });
    assert.deepEqual(after(1000), { wait: 0, entries: 0, journals: 1 }); // a thread may still look into the table
    assert.deepEqual(after(5 * MINUTE), { wait: 55 * MINUTE, entries: 0, journals: 1 });
    assert.deepEqual(after(55 * MINUTE), { wait: Infinity, entries: 0, journals: 0 });
    assert.deepEqual(after(24 * 60 * MINUTE), { wait: Infinity, entries: 0, journals: 0 });
  });
});

test("a purge in memory says when the table will have expired for certain", () => {
  const state = createReplayState(null);
  insert(new ReplayCache(state), randomKeys(1), NOW);
  const purge = new ReplayPurge(state);
  const at = (seconds: number) => purge.purge(NOW + seconds, 0, seconds * 1000);
  assert.equal(at(0), 121_000);
  assert.equal(at(121), 10 * MINUTE);
  assert.equal(at(721), 0); // its table is dropped, and closed the next time
  assert.equal(at(1021), Infinity);
});

test("a table is dropped when it has expired, and its journal when that is certain", () => {
  withDirectory((directory) => {
    const state = createReplayState(directory);
    const cache = new ReplayCache(state);
    insert(cache, randomKeys(1), NOW);
    insert(cache, randomKeys(1), NOW + 7200);
    const purge = purging(state);
    purge(2, 0);
    assert.equal(replayUsage(state).entries, 2);
    purge(2, 0);
    assert.equal(replayUsage(state).entries, 1);
    assert.equal(readdirSync(directory).length, 2);
    purge(60, 0);
    assert.deepEqual(readdirSync(directory), [String((NOW + 7200) / 60)]);
  });
});

test("the memory of a dropped table goes back, and another minute takes it over, empty", () => {
  const state = createReplayState(null);
  const words = new Int32Array(state.shared);
  const cache = new ReplayCache(state);
  const keys = Array.from({ length: 5_000 }, () => randomKeys(1));
  for (const key of keys) insert(cache, key, NOW);
  const { address } = tableOf(words, findMinute(words, NOW / 60)!);
  const purge = purging(state);
  purge(20, 0);
  assert.equal(replayUsage(state).bytes, 0);
  const later = NOW + 7200;
  for (const key of keys) assert.equal(insert(cache, key, later), true);
  for (const key of keys) assert.equal(insert(cache, key, later), false);
  assert.equal(tableOf(words, findMinute(words, later / 60)!).address, address);
  assert.equal(replayUsage(state).entries, keys.length);
});

test("in memory only, a table is dropped when it has certainly expired", () => {
  const state = createReplayState(null);
  const cache = new ReplayCache(state);
  insert(cache, randomKeys(1), NOW);
  const purge = purging(state);
  purge(10, 0);
  assert.equal(replayUsage(state).entries, 1);
  purge(10, 0);
  assert.equal(replayUsage(state).entries, 0);
});

for (const inMemory of [false, true]) {
  test(`a clock that is far ahead for some minutes does no harm${inMemory ? " in memory" : ""}`, () => {
    withDirectory((directory) => {
      const state = createReplayState(inMemory ? null : directory);
      const cache = new ReplayCache(state);
      const one = randomKeys(1);
      assert.equal(insert(cache, one, NOW + 3600), true);
      const purge = purging(state);
      for (const ahead of [256 * 60, 86_400, 10 * 365 * 86_400]) {
        assert.equal(insert(cache, randomKeys(1), NOW + 3600 + ahead), true); // one decode with that clock
        purge(8, ahead);
        purge(1, 0);
        assert.equal(insert(cache, one, NOW + 3600), false, `${ahead} s ahead`);
      }
    });
  });
}

test("a start with the clock a day ahead does no harm", () => {
  withDirectory((directory) => {
    const one = randomKeys(1);
    assert.equal(insert(new ReplayCache(createReplayState(directory)), one, NOW + 300), true);
    const state = createReplayState(directory);
    assert.deepEqual(takeOverJournals(state, NOW + 86_400), []);
    purging(state)(5, 86_400);
    assert.equal(insert(new ReplayCache(state), one, NOW + 300), false);
  });
});

test("after the drift is raised again, what was decoded within it is still a replay", () => {
  withDirectory((directory) => {
    const one = randomKeys(1);
    const first = createReplayState(directory);
    assert.equal(insert(new ReplayCache(first), one, NOW), true);
    purging(first)(58, 0); // no drift allowed
    const second = createReplayState(directory);
    takeOverJournals(second, NOW + 58 * 60);
    purging(second)(1, 58 * 60);
    const third = createReplayState(directory);
    assert.deepEqual(takeOverJournals(third, NOW + 59 * 60 - 3600), []);
    assert.equal(insert(new ReplayCache(third), one, NOW), false);
  });
});

test("threads agree on a minute whose table was dropped and recreated", () => {
  const state = createReplayState(null);
  const caches = [new ReplayCache(state), new ReplayCache(state)] as const;
  const one = randomKeys(1);
  for (const cache of caches) insert(cache, one, NOW);
  purging(state)(30, 0);
  assert.equal(insert(caches[0], one, NOW), true);
  assert.equal(insert(caches[1], one, NOW), false);
  assert.equal(insert(caches[0], one, NOW), false);
});
