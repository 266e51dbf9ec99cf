// The replay cache: remembering, forgetting, growing, purging, and taking over what a process left.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import {
  adoptReplayTables,
  createReplayState,
  purgeReplayTables,
  ReplayCache,
  replayUsage,
} from "../../../../daemon/munged/replay/cache.ts";

const NOW = 1_800_000_000;

function randomKeys(count: number): Uint8Array {
  const keys = new Uint8Array(count * 16);
  for (let at = 0; at < keys.length; at += 65_536) {
    crypto.getRandomValues(keys.subarray(at, at + 65_536));
  }
  return keys;
}

function key(keys: Uint8Array, index: number): Uint8Array {
  return keys.subarray(index * 16, index * 16 + 16);
}

test("insert() takes each key once, through all growth of the table, within 32 bytes an entry", () => {
  const state = createReplayState(null);
  const cache = new ReplayCache(state);
  const count = 200_000;
  const keys = randomKeys(count);
  let worst = 0;
  for (let i = 0; i < count; i++) {
    assert.equal(cache.insert(key(keys, i), NOW), true);
    if (i >= 768 && i % 64 === 0) {
      const { entries, bytes } = replayUsage(state);
      assert.equal(entries, i + 1);
      worst = Math.max(worst, bytes / entries);
    }
  }
  for (let i = 0; i < count; i++) assert.equal(cache.insert(key(keys, i), NOW), false);
  assert.ok(worst <= 32, `${worst} bytes an entry`);
});

test("insert() tells keys apart that begin with zeros, and keys that differ in one bit", () => {
  const cache = new ReplayCache(createReplayState(null));
  const keys = [new Uint8Array(16)];
  for (let bit = 0; bit < 128; bit++) {
    const one = new Uint8Array(16);
    one[bit >> 3] = 1 << (bit & 7);
    keys.push(one);
  }
  // But for the first word, which marks a slot as taken, and the two bits that are an entry's state.
  const zeros = (count: number) => "0,".repeat(count);
  const same = new Set([
    `${zeros(3)}1,${zeros(12)}`.slice(0, -1),
    `${zeros(15)}1`,
    `${zeros(15)}2`,
  ]);
  for (const one of keys) {
    assert.equal(cache.insert(one, NOW), !same.has(one.join()), one.join());
    assert.equal(cache.insert(one, NOW), false);
  }
});

test("remove() forgets a key, and only that", () => {
  const cache = new ReplayCache(createReplayState(null));
  const keys = randomKeys(5000);
  for (let i = 0; i < 5000; i++) cache.insert(key(keys, i), NOW);
  for (let i = 0; i < 5000; i += 2) cache.remove(key(keys, i), NOW);
  for (let i = 0; i < 5000; i++) assert.equal(cache.insert(key(keys, i), NOW), i % 2 === 0);
});

test("keep() has a key stay, and brings one back that was just removed", () => {
  const cache = new ReplayCache(createReplayState(null));
  const keys = randomKeys(2000);
  for (let i = 0; i < 2000; i++) cache.insert(key(keys, i), NOW);
  for (let i = 0; i < 2000; i += 3) cache.remove(key(keys, i), NOW);
  for (let i = 0; i < 2000; i += 2) cache.keep(key(keys, i), NOW);
  for (let i = 0; i < 2000; i++) cache.remove(key(keys, i), NOW);
  for (let i = 0; i < 2000; i++) assert.equal(cache.insert(key(keys, i), NOW), i % 2 !== 0);
});

test("a key that is removed and inserted again and again has one slot", () => {
  const state = createReplayState(null);
  const cache = new ReplayCache(state);
  const keys = randomKeys(3000);
  for (let i = 0; i < 3000; i++) cache.insert(key(keys, i), NOW); // several segments
  const before = replayUsage(state);
  for (let times = 0; times < 5; times++) {
    for (let i = 0; i < 3000; i++) cache.remove(key(keys, i), NOW);
    for (let i = 0; i < 3000; i++) assert.equal(cache.insert(key(keys, i), NOW), true);
    for (let i = 0; i < 3000; i++) assert.equal(cache.insert(key(keys, i), NOW), false);
  }
  assert.deepEqual(replayUsage(state), before);
});

test("remove() makes no table", () => {
  const directory = mkdtempSync(join(tmpdir(), "replay-"));
  const state = createReplayState(directory);
  const caches = [new ReplayCache(state), new ReplayCache(state)] as const;
  const keys = randomKeys(1);
  caches[0].remove(key(keys, 0), NOW);
  assert.deepEqual(readdirSync(directory), []);
  caches[0].insert(key(keys, 0), NOW);
  caches[1].remove(key(keys, 0), NOW); // in a table that another thread made
  assert.equal(caches[0].insert(key(keys, 0), NOW), true);
  purgeReplayTables(state, NOW + 3600);
  for (const cache of caches) cache.remove(key(keys, 0), NOW);
  assert.deepEqual(readdirSync(directory), []);
  rmSync(directory, { recursive: true });
});

test("insert() lets exactly one of several threads have each key", async () => {
  const state = createReplayState(null);
  const gate = new SharedArrayBuffer(4);
  const keys = randomKeys(100_000);
  const threads = Array.from(
    { length: 4 },
    () =>
      new Worker(new URL("./inserter.ts", import.meta.url), {
        workerData: { state, gate, keys, expiry: NOW },
      }),
  );
  const results = threads.map((thread) =>
    new Promise<number[]>((resolve, reject) => {
      thread.once("message", resolve);
      thread.once("error", reject);
    })
  );
  await Promise.all(threads.map((thread) => new Promise((go) => thread.once("online", go))));
  Atomics.store(new Int32Array(gate), 0, 1);
  Atomics.notify(new Int32Array(gate), 0);
  const fresh = (await Promise.all(results)).flat().sort((a, b) => a - b);
  assert.equal(fresh.length, 100_000);
  assert.ok(fresh.every((value, index) => value === index));
  assert.equal(replayUsage(state).entries, 100_000);
});

test("purgeReplayTables() drops the minutes that are over, and their files", () => {
  const directory = mkdtempSync(join(tmpdir(), "replay-"));
  const state = createReplayState(directory);
  const cache = new ReplayCache(state);
  const keys = randomKeys(2);
  cache.insert(key(keys, 0), NOW);
  cache.insert(key(keys, 1), NOW + 300);
  assert.equal(readdirSync(directory).length, 2);
  purgeReplayTables(state, NOW + 200);
  assert.deepEqual(readdirSync(directory), [String((NOW + 300) / 60)]);
  assert.equal(cache.insert(key(keys, 1), NOW + 300), false);
  rmSync(directory, { recursive: true });
});

test("adoptReplayTables() takes live tables over, drops expired ones, sets damaged ones aside", () => {
  const directory = mkdtempSync(join(tmpdir(), "replay-"));
  const keys = randomKeys(3000);
  const before = new ReplayCache(createReplayState(directory));
  for (let i = 0; i < 3000; i++) before.insert(key(keys, i), NOW + 60 * (i % 5));
  const minute = (offset: number) => String(NOW / 60 + offset);
  const path = (offset: number) => join(directory, minute(offset));
  assert.equal(statSync(path(0)).mode & 0o777, 0o600);
  truncateSync(path(1), 5000);
  chmodSync(path(2), 0o644);
  writeFileSync(path(3), "not a table", { mode: 0o600 });
  writeFileSync(join(directory, "notes"), "left alone");
  writeFileSync(path(-10), "expired long ago");
  mkdirSync(path(-11));

  const state = createReplayState(directory);
  const damaged = [minute(-11), minute(1), minute(2), minute(3)];
  const lost = adoptReplayTables(state, NOW);
  assert.deepEqual(lost.map(({ name }) => name).sort(), damaged);
  assert.ok(lost.every(({ reason }) => reason === null));
  assert.ok(existsSync(`${path(1)}.damaged`));
  assert.ok(existsSync(join(directory, "notes")));
  assert.ok(!existsSync(path(-10)));
  const after = new ReplayCache(state);
  for (let i = 0; i < 3000; i++) {
    const damaged = [1, 2, 3].includes(i % 5);
    assert.equal(after.insert(key(keys, i), NOW + 60 * (i % 5)), damaged);
  }
  rmSync(directory, { recursive: true });
});

test("adoptReplayTables() gives the holes of a copied table their space", () => {
  const directory = mkdtempSync(join(tmpdir(), "replay-"));
  const before = new ReplayCache(createReplayState(directory));
  const keys = randomKeys(1000);
  const file = join(directory, String(NOW / 60));
  before.insert(key(keys, 0), NOW);
  const first = statSync(file).size;
  for (let i = 1; i < 1000 && statSync(file).size === first; i++) before.insert(key(keys, i), NOW);
  const allocated = statSync(file).blocks;
  const bytes = readFileSync(file);
  assert.ok(bytes.subarray(first).every((byte) => byte === 0)); // what it has just grown by
  rmSync(file);
  const fd = openSync(file, "wx", 0o600);
  writeSync(fd, bytes, 0, first, 0);
  ftruncateSync(fd, bytes.length);
  closeSync(fd);
  assert.ok(statSync(file).blocks < allocated);

  const state = createReplayState(directory);
  assert.deepEqual(adoptReplayTables(state, NOW), []);
  assert.equal(statSync(file).blocks, allocated);
  assert.equal(new ReplayCache(state).insert(key(keys, 0), NOW), false);
  rmSync(directory, { recursive: true });
});

test("credentials of a table that there is no space for are refused, not taken for new", {
  skip: process.platform !== "linux" || process.getuid!() !== 0
    ? "needs root, to mount a file system"
    : false,
}, (t) => {
  const directory = mkdtempSync(join(tmpdir(), "replay-"));
  const before = new ReplayCache(createReplayState(directory));
  const keys = randomKeys(2880); // with which the table has just grown by 6 pages
  for (let i = 0; i < 2880; i++) before.insert(key(keys, i), NOW);
  const bytes = readFileSync(join(directory, String(NOW / 60)));
  const empty = 6 * 4096;
  assert.ok(bytes.subarray(-empty).every((byte) => byte === 0));
  // Room for all but the empty pages, and for another table's beginning.
  const size = bytes.length - empty + 5 * 4096;
  const mount = ["-t", "tmpfs", "-o", `size=${size},mode=700`, "none", directory];
  if (spawnSync("mount", mount).status !== 0) return t.skip("can't mount a file system here");
  try {
    const file = join(directory, String(NOW / 60));
    writeFileSync(file, bytes.subarray(0, -empty), { mode: 0o600 });
    truncateSync(file, bytes.length);
    const state = createReplayState(directory);
    assert.deepEqual(adoptReplayTables(state, NOW), [
      { name: String(NOW / 60), reason: "No space left on device" },
    ]);
    const after = new ReplayCache(state);
    assert.throws(() => after.insert(key(keys, 0), NOW), /No space left on device/);
    assert.equal(spawnSync("mount", ["-o", "remount,size=1m", directory]).status, 0);
    assert.equal(after.insert(key(keys, 0), NOW), false);
  } finally {
    spawnSync("umount", ["--lazy", directory]);
    rmSync(directory, { recursive: true });
  }
});

test("a table of a time when the clock was far off makes room for one of today", () => {
  const directory = mkdtempSync(join(tmpdir(), "replay-"));
  const state = createReplayState(directory);
  const caches = [new ReplayCache(state), new ReplayCache(state)] as const;
  const keys = randomKeys(1);
  const farAhead = NOW + 256 * 60 * 1000;
  for (const expiry of [farAhead, NOW]) {
    assert.equal(caches[0].insert(key(keys, 0), expiry), true);
    assert.equal(caches[1].insert(key(keys, 0), expiry), false);
  }
  assert.deepEqual(readdirSync(directory), [String(NOW / 60)]);
  rmSync(directory, { recursive: true });
});

test("threads agree on a minute whose table was dropped and made again", () => {
  const state = createReplayState(null);
  const caches = [new ReplayCache(state), new ReplayCache(state)] as const;
  const keys = randomKeys(1);
  for (const cache of caches) cache.insert(key(keys, 0), NOW);
  purgeReplayTables(state, NOW + 3600); // the clock leapt, and was set back
  assert.equal(caches[0].insert(key(keys, 0), NOW), true);
  assert.equal(caches[1].insert(key(keys, 0), NOW), false);
  assert.equal(caches[0].insert(key(keys, 0), NOW), false);
});
