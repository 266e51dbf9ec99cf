// Taking the journals over from a munged that is still serving: most of them while it does, the rest when it has stopped.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Remembered, ReplayCache } from "../../../../daemon/munged/replay/cache.ts";
import { eraseRecord } from "../../../../daemon/munged/replay/journal.ts";
import { createReplayState, ENTRY, openEntries } from "../../../../daemon/munged/replay/minutes.ts";
import {
  dropTables,
  erasedRecords,
  isSaved,
  previewJournals,
  takeOverJournals,
  takeOverRest,
} from "../../../../daemon/munged/replay/takeover.ts";
import { replayUsage } from "../../../../daemon/munged/replay/usage.ts";
import { insert, key, NOW, PROCESS, randomKeys } from "./presenting.ts";

describe("the cache of a munged that replaces another", () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "replay-preview-"));
  });
  after(() => rmSync(directory, { recursive: true }));
  let count = 0;
  function fresh() {
    const path = join(directory, `${++count}`);
    mkdirSync(path, { mode: 0o700 });
    const state = createReplayState(path);
    return { path, state, cache: new ReplayCache(state) };
  }

  test("has what was decoded before, during and after the preview, once", () => {
    const { path, cache } = fresh();
    const keys = randomKeys(9_000);
    for (let i = 0; i < 3_000; i++) insert(cache, key(keys, i), NOW + 60 * (i % 3));
    const next = createReplayState(path);
    previewJournals(next, NOW);
    assert.equal(replayUsage(next).entries, 3_000);
    for (let i = 3_000; i < 9_000; i++) insert(cache, key(keys, i), NOW + 60 * (i % 5));
    assert.deepEqual(takeOverRest(next, NOW, false), []);
    assert.equal(replayUsage(next).entries, 9_000);
    const nextCache = new ReplayCache(next);
    for (let i = 0; i < 9_000; i++) {
      const expiry = NOW + 60 * (i % (i < 3_000 ? 3 : 5));
      assert.equal(insert(nextCache, key(keys, i), expiry), false, `${i}`);
    }
    // What it decodes is written after the rest.
    const more = randomKeys(100);
    for (let i = 0; i < 100; i++) insert(nextCache, key(more, i), NOW);
    const third = createReplayState(path);
    assert.deepEqual(takeOverJournals(third, NOW), []);
    assert.equal(replayUsage(third).entries, 9_100);
  });

  test("has a record that was written late, in front of others that it has already read", () => {
    const { path, state, cache } = fresh();
    const keys = randomKeys(10);
    for (let i = 0; i < 10; i++) insert(cache, key(keys, i), NOW);
    // A worker that got number 4 and is held up before it writes.
    const words = new Int32Array(state.shared);
    const [entry] = [...openEntries(words)];
    const file = join(path, String(NOW / 60));
    const written = readFileSync(file);
    eraseRecord(words[entry! + ENTRY.journal]!, 4);
    const next = createReplayState(path);
    previewJournals(next, NOW);
    assert.equal(replayUsage(next).entries, 9);
    writeFileSync(file, written);
    takeOverRest(next, NOW, false);
    assert.equal(replayUsage(next).entries, 10);
    const nextCache = new ReplayCache(next);
    for (let i = 0; i < 10; i++) assert.equal(insert(nextCache, key(keys, i), NOW), false);
  });

  test("has a record that it had read only in part", () => {
    const { path, cache } = fresh();
    const keys = randomKeys(10);
    for (let i = 0; i < 10; i++) insert(cache, key(keys, i), NOW);
    const file = join(path, String(NOW / 60));
    const written = readFileSync(file);
    const torn = Uint8Array.from(written);
    torn.fill(0, 32 + 4 * 16 + 4, 32 + 4 * 16 + 12); // the middle of record 4
    writeFileSync(file, torn);
    const next = createReplayState(path);
    previewJournals(next, NOW);
    writeFileSync(file, written);
    takeOverRest(next, NOW, false);
    const nextCache = new ReplayCache(next);
    for (let i = 0; i < 10; i++) assert.equal(insert(nextCache, key(keys, i), NOW), false);
  });

  test("believes no retry of what the other has decoded, before the preview or after", () => {
    const { path, cache } = fresh();
    const present = (cache: ReplayCache, key: Uint8Array, isRetry: boolean) =>
      cache.remember({ key, requester: PROCESS, isRetry, now: NOW }, NOW);
    const [replayed, first, second] = [randomKeys(1), randomKeys(1), randomKeys(1)];
    present(cache, replayed, false);
    present(cache, first, false);
    const next = createReplayState(path);
    previewJournals(next, NOW);
    assert.equal(present(cache, replayed, false), "replayed");
    present(cache, second, false);
    cache.remember({ key: second, requester: PROCESS, isRetry: false, now: NOW }, NOW + 60);
    takeOverRest(next, NOW, false);
    const nextCache = new ReplayCache(next);
    for (const key of [replayed, first, second]) {
      assert.equal(present(nextCache, key, true), "replayed");
    }
    const minute = { key: second, requester: PROCESS, isRetry: true, now: NOW };
    assert.equal(nextCache.remember(minute, NOW + 60), "replayed");
    assert.equal(present(cache, first, true), "retried", "which the other itself would");
  });

  test("lacks what the other has taken back since the preview", () => {
    const { path, state, cache } = fresh();
    const [lost, kept] = [randomKeys(1), randomKeys(1)];
    const presented = { key: lost, requester: PROCESS, isRetry: false, now: NOW };
    const remembered = cache.remember(presented, NOW) as Remembered;
    insert(cache, kept, NOW);
    const next = createReplayState(path);
    previewJournals(next, NOW);
    const before = erasedRecords(state);
    cache.forget(remembered);
    assert.equal(erasedRecords(state), before + 1);
    takeOverRest(next, NOW, true);
    const nextCache = new ReplayCache(next);
    assert.equal(insert(nextCache, kept, NOW), false);
    assert.equal(insert(nextCache, lost, NOW), true);
  });

  test("does not touch a journal that the other is just creating", () => {
    const { path, cache } = fresh();
    insert(cache, randomKeys(1), NOW);
    for (const [minute, bytes] of [[NOW / 60 + 1, 0], [NOW / 60 + 2, 65_536]] as const) {
      writeFileSync(join(path, String(minute)), new Uint8Array(bytes), { mode: 0o600 });
    }
    const next = createReplayState(path);
    previewJournals(next, NOW);
    assert.deepEqual(readFileSync(join(path, String(NOW / 60 + 1))).length, 0);
    assert(readFileSync(join(path, String(NOW / 60 + 2))).every((byte) => byte === 0));
    assert.equal(replayUsage(next).entries, 1);
  });

  test("can be forgotten and read anew", () => {
    const { path, state, cache } = fresh();
    const [own, other] = [randomKeys(1), randomKeys(1)];
    insert(cache, own, NOW);
    const next = createReplayState(path);
    takeOverJournals(next, NOW);
    insert(new ReplayCache(next), other, NOW);
    assert.equal(insert(new ReplayCache(state), randomKeys(1), NOW + 60), true);
    dropTables(state);
    assert.deepEqual(takeOverJournals(state, NOW), []);
    assert.equal(insert(cache, own, NOW), false, "a thread that knew the old table");
    assert.equal(insert(cache, other, NOW), false);
  });

  test("is not complete on disk if a journal could not be written", () => {
    const { path, state } = fresh();
    const warnings: string[] = [];
    const cache = new ReplayCache(state, (text) => warnings.push(text));
    assert.notEqual(insert(cache, randomKeys(1), NOW), false);
    assert.equal(isSaved(state, NOW), true);
    rmSync(path, { recursive: true });
    const remembered = cache.remember(
      { key: randomKeys(1), requester: PROCESS, isRetry: false, now: NOW },
      NOW + 60,
    ) as Remembered;
    assert.equal(typeof remembered, "object");
    assert.match(warnings.join(), /Failed to write replay journal/);
    assert.equal(isSaved(state, NOW), false);
    assert.equal(isSaved(state, NOW + 3 * 86_400), true, "it does not matter any more");
  });
});
