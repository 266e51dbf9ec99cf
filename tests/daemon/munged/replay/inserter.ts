// A thread of cache_test.ts: inserts the given keys in step with others, and reports which were new.
import { parentPort, workerData } from "node:worker_threads";
import { ReplayCache } from "../../../../daemon/munged/replay/cache.ts";
import type { ReplayState } from "../../../../daemon/munged/replay/minutes.ts";

const { state, gate, keys, expiry } = workerData as {
  state: ReplayState;
  gate: SharedArrayBuffer;
  keys: Uint8Array;
  expiry: number;
};
const cache = new ReplayCache(state);
Atomics.wait(new Int32Array(gate), 0, 0);
const fresh: number[] = [];
for (let i = 0; i * 16 < keys.length; i++) {
  const key = keys.subarray(i * 16, i * 16 + 16);
  const presented = { key, requester: { pid: 1, uid: 1 }, isRetry: false, now: expiry };
  if (typeof cache.remember(presented, expiry) !== "string") fresh.push(i);
}
parentPort!.postMessage(fresh);
