// The replay cache: remembering, forgetting, growing, purging, and adopting the tables of an earlier process.
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
import { RETRY_WINDOW } from "../../../../daemon/munged/replay/entry.ts";
import { KEY_LENGTH, type Presented } from "../../../../daemon/munged/replay/table.ts";

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

const PROCESS = { pid: 4711, uid: 1000 };

/** Presents a credential. Returns whether it was new. */
function insert(cache: ReplayCache, key: Uint8Array, expiry: number): boolean {
  const presented = { key, requester: PROCESS, isRetry: false, now: NOW };
  return typeof cache.remember(presented, expiry) !== "string";
}

test("remember() accepts each key once as the table grows, using at most 32 bytes per entry", () => {
  const state = createReplayState(null);
  const cache = new ReplayCache(state);
  const count = 200_000;
  const keys = randomKeys(count);
  let worst = 0;
  for (let i = 0; i < count; i++) {
    assert.equal(insert(cache, key(keys, i), NOW), true);
    if (i >= 768 && i % 64 === 0) {
      const { entries, bytes } = replayUsage(state);
      assert.equal(entries, i + 1);
      worst = Math.max(worst, bytes / entries);
    }
  }
  for (let i = 0; i < count; i++) assert.equal(insert(cache, key(keys, i), NOW), false);
  assert.ok(worst <= 32, `${worst} bytes an entry`);
});

test("remember() distinguishes keys that begin with zeros, and keys that differ in one bit", () => {
  const cache = new ReplayCache(createReplayState(null));
  const keys = [new Uint8Array(16)];
  for (let bit = 0; bit < KEY_LENGTH * 8; bit++) {
    const one = new Uint8Array(16);
    one[bit >> 3] = 1 << (bit & 7);
    keys.push(one);
  }
  const same = "0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0"; // a first word of 0 would mark its slot as empty
  for (const one of keys) {
    assert.equal(insert(cache, one, NOW), one.join() !== same, one.join());
    assert.equal(insert(cache, one, NOW), false);
  }
});

test("forget() forgets only the given key", () => {
  const cache = new ReplayCache(createReplayState(null));
  const keys = randomKeys(5000);
  for (let i = 0; i < 5000; i++) insert(cache, key(keys, i), NOW);
  for (let i = 0; i < 5000; i += 2) cache.forget({ key: key(keys, i), expiry: NOW });
  for (let i = 0; i < 5000; i++) assert.equal(insert(cache, key(keys, i), NOW), i % 2 === 0);
});

/** The result of presenting a credential. */
function present(cache: ReplayCache, key: Uint8Array, how: Partial<Presented> = {}): string {
  const presented = { key, requester: PROCESS, isRetry: false, now: NOW, ...how };
  const found = cache.remember(presented, NOW + 300);
  return typeof found === "string" ? found : "new";
}

/** A cache in which a credential was decoded. */
function decoded(): { cache: ReplayCache; one: Uint8Array } {
  const cache = new ReplayCache(createReplayState(null));
  const one = randomKeys(1);
  assert.equal(present(cache, one), "new");
  return { cache, one };
}

test("every retry by the process that decoded is believed, unless others came first", () => {
  const { cache, one } = decoded();
  for (let times = 0; times < 3; times++) {
    assert.equal(present(cache, one, { isRetry: true }), "retried");
  }
  assert.equal(present(cache, one), "replayed");
  assert.equal(present(cache, one, { isRetry: true }), "replayed");
});

test("no retry is believed after the credential was presented without one", () => {
  const { cache, one } = decoded();
  assert.equal(present(cache, one), "replayed");
  assert.equal(present(cache, one, { isRetry: true }), "replayed");
});

for (
  const [who, requester] of Object.entries({
    "another process": { pid: PROCESS.pid + 1, uid: PROCESS.uid },
    "another user": { pid: PROCESS.pid, uid: PROCESS.uid + 1 },
    "a process without an ID": { pid: 0, uid: PROCESS.uid },
  })
) {
  test(`a retry by ${who} is a replay, and ends all belief in retries`, () => {
    const { cache, one } = decoded();
    assert.equal(present(cache, one, { isRetry: true, requester }), "replayed");
    assert.equal(present(cache, one, { isRetry: true }), "replayed");
  });
}

test("no retry by a process without an ID is believed", () => {
  const cache = new ReplayCache(createReplayState(null));
  const requester = { pid: 0, uid: PROCESS.uid };
  const one = randomKeys(1);
  assert.equal(present(cache, one, { requester }), "new");
  assert.equal(present(cache, one, { requester, isRetry: true }), "replayed");
});

test("a retry is believed only for as long as clients retry", () => {
  const late = (now: number) => {
    const { cache, one } = decoded();
    return present(cache, one, { isRetry: true, now });
  };
  for (let after = 0; after <= RETRY_WINDOW; after++) assert.equal(late(NOW + after), "retried");
  for (let after = RETRY_WINDOW + 8; after < 4 * 3600; after += 4) {
    assert.equal(late(NOW + after), "replayed", `${after} s later`);
  }
  assert.equal(late(NOW - 4), "replayed");
});

test("few of 2^17 guessed processes are believed, and different ones in each table", () => {
  const believed = () => {
    const cache = new ReplayCache(createReplayState(null));
    const pids: number[] = [];
    for (let pid = 1; pid <= 2 ** 17; pid++) {
      const one = randomKeys(1);
      present(cache, one);
      if (present(cache, one, { isRetry: true, requester: { pid, uid: 1 } }) === "retried") {
        pids.push(pid);
      }
    }
    return pids;
  };
  const [first, second] = [believed(), believed()];
  assert.ok(first.length < 10 && second.length < 10, `${first.length}, ${second.length}`);
  assert.ok(!first.some((pid) => second.includes(pid)));
});

test("a lost answer makes its credential new again, unless a retry was answered since", () => {
  const { cache, one } = decoded();
  const remembered = { key: one, expiry: NOW + 300 };
  assert.equal(present(cache, one), "replayed");
  cache.forget(remembered); // no client has received an answer
  assert.equal(present(cache, one), "new");
  assert.equal(present(cache, one, { isRetry: true }), "retried");
  cache.forget(remembered);
  assert.equal(present(cache, one), "replayed");
  cache.forget(remembered);
  assert.equal(present(cache, one), "replayed");
});

test("a key that is repeatedly forgotten and remembered uses one slot", () => {
  const state = createReplayState(null);
  const cache = new ReplayCache(state);
  const keys = randomKeys(3000);
  for (let i = 0; i < 3000; i++) insert(cache, key(keys, i), NOW); // several segments
  const before = replayUsage(state);
  for (let times = 0; times < 5; times++) {
    for (let i = 0; i < 3000; i++) cache.forget({ key: key(keys, i), expiry: NOW });
    for (let i = 0; i < 3000; i++) assert.equal(insert(cache, key(keys, i), NOW), true);
    for (let i = 0; i < 3000; i++) assert.equal(insert(cache, key(keys, i), NOW), false);
  }
  assert.deepEqual(replayUsage(state), before);
});

test("forget() creates no table", () => {
  const directory = mkdtempSync(join(tmpdir(), "replay-"));
  const state = createReplayState(directory);
  const caches = [new ReplayCache(state), new ReplayCache(state)] as const;
  const keys = randomKeys(1);
  caches[0].forget({ key: key(keys, 0), expiry: NOW });
  assert.deepEqual(readdirSync(directory), []);
  insert(caches[0], key(keys, 0), NOW);
  caches[1].forget({ key: key(keys, 0), expiry: NOW }); // in a table that another thread made
  assert.equal(insert(caches[0], key(keys, 0), NOW), true);
  purgeReplayTables(state, NOW + 3600);
  for (const cache of caches) cache.forget({ key: key(keys, 0), expiry: NOW });
  assert.deepEqual(readdirSync(directory), []);
  rmSync(directory, { recursive: true });
});

test("remember() gives each key to exactly one of several threads", async () => {
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

test("purgeReplayTables() drops minutes that are over, and their files", () => {
  const directory = mkdtempSync(join(tmpdir(), "replay-"));
  const state = createReplayState(directory);
  const cache = new ReplayCache(state);
  const keys = randomKeys(2);
  insert(cache, key(keys, 0), NOW);
  insert(cache, key(keys, 1), NOW + 300);
  assert.equal(readdirSync(directory).length, 2);
  purgeReplayTables(state, NOW + 200);
  assert.deepEqual(readdirSync(directory), [String((NOW + 300) / 60)]);
  assert.equal(insert(cache, key(keys, 1), NOW + 300), false);
  rmSync(directory, { recursive: true });
});

test("adoptReplayTables() adopts live tables, drops expired ones and sets damaged ones aside", () => {
  const directory = mkdtempSync(join(tmpdir(), "replay-"));
  const keys = randomKeys(3000);
  const before = new ReplayCache(createReplayState(directory));
  for (let i = 0; i < 3000; i++) insert(before, key(keys, i), NOW + 60 * (i % 5));
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
    assert.equal(insert(after, key(keys, i), NOW + 60 * (i % 5)), damaged);
  }
  rmSync(directory, { recursive: true });
});

test("adoptReplayTables() allocates space for the holes of a copied table", () => {
  const directory = mkdtempSync(join(tmpdir(), "replay-"));
  const before = new ReplayCache(createReplayState(directory));
  const keys = randomKeys(1000);
  const file = join(directory, String(NOW / 60));
  insert(before, key(keys, 0), NOW);
  const first = statSync(file).size;
  for (let i = 1; i < 1000 && statSync(file).size === first; i++) insert(before, key(keys, i), NOW);
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
  assert.equal(insert(new ReplayCache(state), key(keys, 0), NOW), false);
  rmSync(directory, { recursive: true });
});

test("credentials of a table for which there is no space are refused, not treated as new", {
  skip: process.platform !== "linux" || process.getuid!() !== 0
    ? "needs root, to mount a file system"
    : false,
}, (t) => {
  const directory = mkdtempSync(join(tmpdir(), "replay-"));
  const before = new ReplayCache(createReplayState(directory));
  const keys = randomKeys(2880); // with which the table has just grown by 6 pages
  for (let i = 0; i < 2880; i++) insert(before, key(keys, i), NOW);
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
    assert.throws(() => insert(after, key(keys, 0), NOW), /No space left on device/);
    assert.equal(spawnSync("mount", ["-o", "remount,size=1m", directory]).status, 0);
    assert.equal(insert(after, key(keys, 0), NOW), false);
  } finally {
    spawnSync("umount", ["--lazy", directory]);
    rmSync(directory, { recursive: true });
  }
});

test("a table from a time when the clock was far off makes room for a current one", () => {
  const directory = mkdtempSync(join(tmpdir(), "replay-"));
  const state = createReplayState(directory);
  const caches = [new ReplayCache(state), new ReplayCache(state)] as const;
  const keys = randomKeys(1);
  const farAhead = NOW + 256 * 60 * 1000;
  for (const expiry of [farAhead, NOW]) {
    assert.equal(insert(caches[0], key(keys, 0), expiry), true);
    assert.equal(insert(caches[1], key(keys, 0), expiry), false);
  }
  assert.deepEqual(readdirSync(directory), [String(NOW / 60)]);
  rmSync(directory, { recursive: true });
});

test("threads agree on a minute whose table was dropped and recreated", () => {
  const state = createReplayState(null);
  const caches = [new ReplayCache(state), new ReplayCache(state)] as const;
  const keys = randomKeys(1);
  for (const cache of caches) insert(cache, key(keys, 0), NOW);
  purgeReplayTables(state, NOW + 3600); // the clock jumped ahead and was set back
  assert.equal(insert(caches[0], key(keys, 0), NOW), true);
  assert.equal(insert(caches[1], key(keys, 0), NOW), false);
  assert.equal(insert(caches[0], key(keys, 0), NOW), false);
});
