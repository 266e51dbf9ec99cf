// The replay cache in memory: remembering, forgetting, retries, growth, and threads that stop in the middle. Tests of its disk
// and of its maintenance are in journal_test.ts and upkeep_test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { ReplayCache } from "../../../../daemon/munged/replay/cache.ts";
import { RETRY_WINDOW } from "../../../../daemon/munged/replay/entry.ts";
import {
  createReplayState,
  findMinute,
  tableOf,
} from "../../../../daemon/munged/replay/minutes.ts";
import { MAX_SEGMENTS } from "../../../../daemon/munged/replay/segments.ts";
import { KEY_LENGTH, type Presented } from "../../../../daemon/munged/replay/table.ts";
import { replayUsage } from "../../../../daemon/munged/replay/usage.ts";
import { memoryAt } from "../../../../lib/os/anonymous_memory.ts";
import { insert, key, NOW, PROCESS, randomKeys } from "./presenting.ts";

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
  for (let i = 0; i < 5000; i += 2) cache.forget({ key: key(keys, i), expiry: NOW, record: -1 });
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
  test(`a retry by ${who} is a replay, and no more retries are believed`, () => {
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
  const remembered = { key: one, expiry: NOW + 300, record: -1 };
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
    for (let i = 0; i < 3000; i++) cache.forget({ key: key(keys, i), expiry: NOW, record: -1 });
    for (let i = 0; i < 3000; i++) assert.equal(insert(cache, key(keys, i), NOW), true);
    for (let i = 0; i < 3000; i++) assert.equal(insert(cache, key(keys, i), NOW), false);
  }
  assert.deepEqual(replayUsage(state), before);
});

test("forget() creates no table", () => {
  const state = createReplayState(null);
  const caches = [new ReplayCache(state), new ReplayCache(state)] as const;
  const forgotten = { key: randomKeys(1), expiry: NOW, record: -1 };
  caches[0].forget(forgotten);
  assert.equal(replayUsage(state).bytes, 0);
  insert(caches[0], forgotten.key, NOW);
  caches[1].forget(forgotten); // in a table that another thread made
  assert.equal(insert(caches[0], forgotten.key, NOW), true);
});

test("remember() gives each key to exactly one of several threads", async () => {
  const state = createReplayState(null);
  const gate = new SharedArrayBuffer(4);
  const keys = randomKeys(100_000);
  const threads = Array.from(
    { length: 4 },
    () =>
      new Worker(new URL("./inserter.ts", import.meta.url), {
        workerData: { state, gate, keys, expiry: NOW, record: -1 },
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

/** Header words for a lock, for inserting threads and for growth, as in table.ts. */
const HEADER = { inserters: 1, growing: 2, growLock: 3 };

/** Offset of the first segment's address in the same header. */
const FIRST_SEGMENT = 4 * (16 + MAX_SEGMENTS);

/** A cache with a word left in its table's header by a thread, and how long requests took. */
function withStuck(word: number, requests: number): { failures: string[]; longest: number } {
  const state = createReplayState(null);
  const cache = new ReplayCache(state);
  const keys = randomKeys(requests + 1);
  insert(cache, key(keys, requests), NOW);
  const words = new Int32Array(state.shared);
  memoryAt(tableOf(words, findMinute(words, NOW / 60)!).address, 4096)[word] = 1;
  const failures: string[] = [];
  const begun = performance.now();
  for (let i = 0; i < requests; i++) {
    try {
      insert(cache, key(keys, i), NOW);
    } catch (error) {
      failures.push((error as Error).message);
    }
  }
  // Other minutes are not affected.
  assert.equal(insert(cache, key(keys, 0), NOW + 60), true);
  return { failures, longest: performance.now() - begun };
}

for (const [name, word] of Object.entries(HEADER)) {
  test(`a thread that died and left "${name}" behind costs one wait, and no credential is accepted without being remembered`, () => {
    const { failures, longest } = withStuck(word, 3000);
    assert.ok(longest < 20_000, `${longest} ms`);
    assert.ok(failures.length > 0);
    assert.ok(failures.every((text) => /A thread stopped while it changed/.test(text)));
  });
}

test("a credential is not new to one thread once another has begun to remember it, even if that one dies", () => {
  const state = createReplayState(null);
  const cache = new ReplayCache(state);
  const one = randomKeys(1);
  const present = () => insert(cache, one, NOW);
  assert.equal(present(), true);
  const words = new Int32Array(state.shared);
  const { address } = tableOf(words, findMinute(words, NOW / 60)!);
  const [segment] = new Float64Array(memoryAt(address, 4096).buffer, FIRST_SEGMENT, 1);
  const slots = memoryAt(segment!, 16_384);
  const slot = slots.findIndex((word) => word !== 0);
  slots.fill(0, slot + 1, slot + 4); // as after its claim: only the first word is there
  assert.equal(present(), false);
});

test("a lock left behind by a thread costs one wait, and an error for each request", () => {
  const state = createReplayState(null);
  const words = new Int32Array(state.shared);
  words[0] = 1;
  const cache = new ReplayCache(state);
  const one = randomKeys(1);
  const refused = (times: number) => {
    const begun = performance.now();
    for (let i = 0; i < times; i++) {
      assert.throws(() => insert(cache, one, NOW), /A thread stopped/);
    }
    return performance.now() - begun;
  };
  const wait = refused(1);
  const [after, many] = [refused(100), 100 * wait];
  assert.ok(after < many / 10, `${after} ms, where 100 waits would take ${many} ms`);
  words[0] = 0; // it was only slow
  assert.equal(insert(cache, one, NOW), true);
});

test("a retry of a provisional decode is believed only once that is final, and nobody else has come first", () => {
  const { cache, one } = decoded();
  cache.believe({ key: one, expiry: NOW + 300, record: -1 }, { pid: 1, uid: 2 }, NOW);
  assert.equal(present(cache, one, { isRetry: true }), "retried", "it was not provisional");
  for (const isMet of [false, true]) {
    const key = randomKeys(1);
    assert.equal(present(cache, key, { isProvisional: true }), "new");
    if (isMet) assert.equal(present(cache, key, { isRetry: true }), "replayed");
    cache.believe({ key, expiry: NOW + 300, record: -1 }, PROCESS, NOW);
    const verdict = present(cache, key, { isRetry: true, isProvisional: true });
    assert.equal(verdict, isMet ? "replayed" : "retried");
    assert.equal(present(cache, key), "replayed");
  }
  const gone = randomKeys(1);
  const entry = { key: gone, expiry: NOW + 300, record: -1 };
  present(cache, gone, { isProvisional: true });
  cache.forget(entry);
  cache.believe(entry, PROCESS, NOW);
  assert.equal(present(cache, gone, { isRetry: true, isProvisional: true }), "new");
  assert.equal(present(cache, gone, { isRetry: true }), "replayed");
});
