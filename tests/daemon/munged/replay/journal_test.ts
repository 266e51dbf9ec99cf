// The replay cache's journals, and how a successor reads them: intact, erased, truncated, foreign or damaged ones, and file
// systems without space.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Remembered, ReplayCache } from "../../../../daemon/munged/replay/cache.ts";
import { makeSpares } from "../../../../daemon/munged/replay/files.ts";
import { createReplayState } from "../../../../daemon/munged/replay/minutes.ts";
import { takeOverJournals } from "../../../../daemon/munged/replay/takeover.ts";
import { replayUsage } from "../../../../daemon/munged/replay/usage.ts";
import { insert, key, NOW, PROCESS, randomKeys } from "./presenting.ts";

const MINUTE = NOW / 60;

describe("journals", () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "replay-"));
  });
  after(() => rmSync(directory, { recursive: true }));
  let count = 0;
  const fresh = () => {
    const path = join(directory, `${++count}`);
    mkdirSync(path, { mode: 0o700 });
    return path;
  };
  /** The cache of a munged that starts now. */
  function successor(path: string, now = NOW) {
    const state = createReplayState(path);
    const lost = takeOverJournals(state, now);
    return { state, lost, cache: new ReplayCache(state) };
  }
  const pathOf = (path: string, minute = MINUTE) => join(path, String(minute));

  test("a successor knows what was decoded, in every minute and after any growth", () => {
    const path = fresh();
    const keys = randomKeys(30_000);
    const first = successor(path);
    for (let i = 0; i < 30_000; i++) insert(first.cache, key(keys, i), NOW + 60 * (i % 3));
    for (const generation of [1, 2]) {
      const { state, lost, cache } = successor(path);
      assert.deepEqual(lost, []);
      assert.equal(replayUsage(state).entries, 30_000 + generation - 1);
      for (let i = 0; i < 30_000; i++) {
        assert.equal(insert(cache, key(keys, i), NOW + 60 * (i % 3)), false);
      }
      assert.equal(insert(cache, randomKeys(1), NOW), true);
    }
  });

  test("a journal takes 16 bytes per credential, plus reserved space", () => {
    const path = fresh();
    const { cache } = successor(path);
    const keys = randomKeys(100_000);
    for (let i = 0; i < 100_000; i++) insert(cache, key(keys, i), NOW);
    for (let i = 0; i < 100_000; i++) insert(cache, key(keys, i), NOW); // replays, recorded once each
    for (let i = 0; i < 100_000; i++) insert(cache, key(keys, i), NOW);
    const { size } = statSync(pathOf(path));
    assert.ok(size <= 2 * 100_000 * 16 + (1 << 20), `${size} bytes`);
  });

  test("a successor believes retries as its predecessor would have", () => {
    const path = fresh();
    const { cache } = successor(path);
    const [lost, replayed, forgotten] = [randomKeys(1), randomKeys(1), randomKeys(1)];
    const expiry = NOW + 30;
    const present = (cache: ReplayCache, key: Uint8Array, isRetry: boolean) =>
      cache.remember({ key, requester: PROCESS, isRetry, now: NOW }, expiry);
    present(cache, lost, false);
    present(cache, replayed, false);
    present(cache, replayed, false);
    cache.forget(present(cache, forgotten, false) as Remembered);
    const next = successor(path).cache;
    assert.equal(present(next, lost, true), "retried");
    assert.equal(present(next, replayed, true), "replayed");
    assert.equal(typeof present(next, forgotten, false), "object");
  });

  test("a successor believes no retry of a decode that was never final", () => {
    const path = fresh();
    const { cache } = successor(path);
    const expiry = NOW + 30;
    const present = (cache: ReplayCache, key: Uint8Array, isRetry: boolean) =>
      cache.remember({ key, requester: PROCESS, isRetry, isProvisional: true, now: NOW }, expiry);
    const [final, pending] = [randomKeys(1), randomKeys(1)];
    const remembered = present(cache, final, false) as Remembered;
    present(cache, pending, false);
    cache.believe(remembered, PROCESS, NOW);
    const next = successor(path).cache;
    assert.equal(present(next, final, true), "retried");
    assert.equal(present(next, pending, true), "replayed");
  });

  test("a journal truncated anywhere, at any time, loses only what was cut off", () => {
    const path = fresh();
    const keys = randomKeys(1000);
    const { cache } = successor(path);
    for (let i = 0; i < 1000; i++) insert(cache, key(keys, i), NOW);
    for (const size of [32 + 16 * 500, 32 + 16 * 300 + 7, 32]) {
      truncateSync(pathOf(path), size);
      const known = Math.floor((size - 32) / 16);
      assert.equal(insert(cache, key(keys, 999), NOW), false, "the running one knows all");
      const next = successor(path);
      assert.deepEqual(next.lost, []);
      for (let i = 0; i < 1000; i += 50) {
        assert.equal(insert(next.cache, key(keys, i), NOW), i >= known);
      }
      truncateSync(pathOf(path), size);
    }
    truncateSync(pathOf(path), 5);
    assert.deepEqual(successor(path).lost, [{ name: String(MINUTE), reason: null }]);
    assert.equal(insert(cache, randomKeys(1), NOW), true);
  });

  test("a journal whose header never reached the disk counts as empty", () => {
    const path = fresh();
    writeFileSync(pathOf(path), new Uint8Array(65_536), { mode: 0o600 });
    const one = randomKeys(1);
    const { lost, cache } = successor(path);
    assert.deepEqual(lost, []);
    assert.equal(insert(cache, one, NOW), true);
    assert.equal(insert(successor(path).cache, one, NOW), false);
  });

  test("random bytes in a journal damage only the entries that they overwrite", () => {
    const path = fresh();
    const { cache } = successor(path);
    const keys = randomKeys(20);
    for (let i = 0; i < 20; i++) insert(cache, key(keys, i), NOW);
    const bytes = readFileSync(pathOf(path));
    crypto.getRandomValues(bytes.subarray(32 + 10 * 16, 32 + 2000 * 16));
    writeFileSync(pathOf(path), bytes);
    const next = successor(path);
    assert.deepEqual(next.lost, []);
    for (let i = 0; i < 10; i++) assert.equal(insert(next.cache, key(keys, i), NOW), false);
    for (let i = 10; i < 20; i++) assert.equal(insert(next.cache, key(keys, i), NOW), true);
  });

  test("a file that is not a journal is set aside; expired ones and other names are left alone", () => {
    const path = fresh();
    const keys = randomKeys(6);
    const { cache } = successor(path);
    for (let i = 0; i < 6; i++) insert(cache, key(keys, i), NOW + 60 * i);
    assert.equal(statSync(pathOf(path)).mode & 0o777, 0o600);
    chmodSync(pathOf(path, MINUTE + 1), 0o644);
    writeFileSync(pathOf(path, MINUTE + 2), "not a journal".repeat(10));
    renameSync(pathOf(path, MINUTE + 3), join(path, "kept"));
    symlinkSync("kept", pathOf(path, MINUTE + 3));
    renameSync(pathOf(path, MINUTE + 4), pathOf(path, MINUTE + 7)); // of another minute
    mkdirSync(pathOf(path, MINUTE - 11));
    writeFileSync(pathOf(path, MINUTE - 10), "expired long ago");

    const next = successor(path);
    const damaged = [-11, 1, 2, 3, 7].map((offset) => String(MINUTE + offset));
    assert.deepEqual(next.lost.map(({ name }) => name).sort(), damaged);
    assert.ok(next.lost.every(({ reason }) => reason === null));
    for (const name of damaged) assert.ok(existsSync(join(path, `${name}.damaged`)), name);
    assert.ok(existsSync(join(path, "kept")));
    assert.ok(existsSync(pathOf(path, MINUTE - 10)));
    for (const [i, isNew] of [false, true, true, true, true, false].entries()) {
      assert.equal(insert(next.cache, key(keys, i), NOW + 60 * i), isNew, `${i}`);
    }
  });

  test("credentials of an unreadable journal are refused, not treated as new", () => {
    const path = fresh();
    const { cache } = successor(path);
    const one = randomKeys(1);
    insert(cache, one, NOW);
    const aside = join(path, "aside");
    renameSync(pathOf(path), aside);
    symlinkSync(pathOf(path), pathOf(path)); // stands for a file that can't be opened
    const state = createReplayState(path);
    const next = new ReplayCache(state);
    assert.throws(() => insert(next, one, NOW), /is not a replay journal/);
    rmSync(pathOf(path));
    renameSync(aside, pathOf(path));
    assert.equal(insert(next, one, NOW), false);
  });

  test("spare files become the journals of new minutes, and are private", () => {
    const path = fresh();
    makeSpares(path);
    const spares = readdirSync(path);
    assert.ok(spares.length >= 5);
    for (const name of spares) {
      const { mode, blocks } = statSync(join(path, name));
      assert.equal(mode & 0o777, 0o600);
      assert.ok(blocks * 512 >= 65_536, "space is set aside");
    }
    const one = randomKeys(1);
    const { cache } = successor(path);
    assert.equal(insert(cache, one, NOW), true);
    assert.equal(readdirSync(path).length, spares.length);
    makeSpares(path);
    assert.equal(readdirSync(path).length, spares.length + 1);
    assert.equal(insert(successor(path).cache, one, NOW), false);
  });

  test("on a full file system, spares are used first, then memory, with a warning each", (t) => {
    if (process.platform !== "linux" || process.getuid!() !== 0) {
      return t.skip("needs root, to mount a file system");
    }
    const path = fresh();
    const mount = ["-t", "tmpfs", "-o", "size=1m,mode=700", "none", path];
    if (spawnSync("mount", mount).status !== 0) return t.skip("can't mount a file system here");
    try {
      makeSpares(path);
      const spares = readdirSync(path).length;
      assert.throws(() => writeFileSync(join(path, "filler"), new Uint8Array(2 << 20)));
      const state = createReplayState(path);
      const warnings: string[] = [];
      const cache = new ReplayCache(state, (text) => warnings.push(text));
      const keys = randomKeys(20 * 100);
      const all = (wanted: (minute: number) => boolean, cache: ReplayCache) => {
        for (let i = 0; i < 20 * 100; i++) {
          const minute = i % 20;
          assert.equal(insert(cache, key(keys, i), NOW + 60 * minute), wanted(minute), `${minute}`);
        }
      };
      all(() => true, cache);
      all(() => false, cache);
      assert.equal(warnings.length, 20 - spares);
      assert.match(warnings[0]!, /Failed to write replay journal .*: No space left on device: /);
      rmSync(join(path, "filler"));
      all((minute) => minute >= spares, successor(path).cache);

      // A journal without space to grow.
      assert.throws(() => writeFileSync(join(path, "filler"), new Uint8Array(2 << 20)));
      const grown = new ReplayCache(createReplayState(path), (text) => warnings.push(text));
      const many = randomKeys(6_000);
      for (let i = 0; i < 6_000; i++) assert.equal(insert(grown, key(many, i), NOW), true);
      for (let i = 0; i < 6_000; i++) assert.equal(insert(grown, key(many, i), NOW), false);
      const { cache: last } = successor(path);
      for (let i = 0; i < 3_000; i++) assert.equal(insert(last, key(many, i), NOW), false);
    } finally {
      spawnSync("umount", ["--lazy", path]);
    }
  });
});
