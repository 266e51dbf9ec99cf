// The cost of the replay cache: memory and insertion latency at 10^3 to 10^7 live entries, and decode latency of
// a munged whose cache holds 5,000,000 of them, compared with one whose cache is empty.
//   bun scripts/benchmarks/replay_cache.ts [--json] [--largest N] [--live N]
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { ReplayCache } from "../../daemon/munged/replay/cache.ts";
import { createReplayState } from "../../daemon/munged/replay/minutes.ts";
import { replayUsage } from "../../daemon/munged/replay/usage.ts";
import { Realm } from "../../tests/harness/realm.ts";
import { encodeRequest } from "../../tests/requests.ts";
import { median, quantile } from "./statistics.ts";

/** Percentiles in microseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** Measurements of a cache of one size. */
export interface CachePoint {
  readonly entries: number;
  readonly bytesPerEntry: number;
  /** Latency of an insertion. */
  readonly insertion: Latency;
}

/** Decodes by a munged with an empty cache and one with a filled cache, in turn. */
export interface DecodeComparison {
  readonly entries: number;
  readonly empty: Latency;
  readonly filled: Latency;
  /** p99.9 with the filled cache divided by that with the empty one; the median over rounds. */
  readonly ratio: number;
}

const KEY_LENGTH = 16;
const BATCH = 4096;
const SAMPLES = 50_000;
const DECODE_ROUNDS = 5;
const DECODES_PER_ROUND = 4_000;

/** Percentiles of durations in milliseconds. */
function latencyOf(durations: Float64Array): Latency {
  const sorted = durations.toSorted();
  const at = (share: number) => Math.round(quantile(sorted, share) * 10_000) / 10;
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) };
}

const keys = new Uint8Array(BATCH * KEY_LENGTH);

/** Inserts new random keys; `durations`, if given, receives the time each insertion took. */
function fill(cache: ReplayCache, count: number, expiry: number, durations?: Float64Array): void {
  const requester = { pid: process.pid, uid: 0 };
  const now = expiry;
  for (let done = 0; done < count;) {
    crypto.getRandomValues(keys);
    for (let i = 0; i < BATCH && done < count; i++, done++) {
      const key = keys.subarray(i * KEY_LENGTH, (i + 1) * KEY_LENGTH);
      const presented = { key, requester, isRetry: false, now };
      if (durations === undefined) {
        cache.remember(presented, expiry);
      } else {
        const start = performance.now();
        cache.remember(presented, expiry);
        durations[done] = performance.now() - start;
      }
    }
  }
}

/**
 * Memory and latency of one growing table; all entries expire in the same minute.
 *
 * @param largest number of entries at the end.
 */
export function measureCache(largest = 10_000_000): CachePoint[] {
  const points: CachePoint[] = [];
  const expiry = Math.floor(Date.now() / 1000) + 300;
  for (let entries = 1000; entries <= largest; entries *= 10) {
    const state = createReplayState(null);
    const cache = new ReplayCache(state);
    fill(cache, entries, expiry);
    const bytesPerEntry = Math.round((replayUsage(state).bytes / entries) * 10) / 10;
    const durations = new Float64Array(Math.min(SAMPLES, entries));
    fill(cache, durations.length, expiry, durations);
    points.push({ entries, bytesPerEntry, insertion: latencyOf(durations) });
  }
  return points;
}

/** Compares decodes by a munged that adopted a table with `entries` live entries and by one that has none. */
export async function compareDecodes(entries = 5_000_000): Promise<DecodeComparison> {
  const realm = new Realm();
  try {
    const directory = join(realm.directory, "filled");
    mkdirSync(directory, { mode: 0o700 });
    // Every credential expires in the one minute whose table is full.
    const expiry = (Math.floor(Date.now() / 60_000) + 40) * 60 + 30;
    fill(new ReplayCache(createReplayState(directory)), entries, expiry);
    const daemons = [
      await realm.start("ours"),
      await realm.start("ours", [`--replay-dir=${directory}`]),
    ];
    const clients = daemons.map(({ socket }) => new BlockingClient(socket));
    const all = clients.map(() => new Float64Array(DECODE_ROUNDS * DECODES_PER_ROUND));
    for (let i = 0; i < DECODE_ROUNDS * DECODES_PER_ROUND; i++) {
      // In turn and in changing order, so that other load on the machine affects both alike.
      for (let turn = 0; turn < 2; turn++) {
        const which = (i + turn) % 2;
        const client = clients[which]!;
        const ttl = expiry - Math.floor(Date.now() / 1000);
        const credential = client.encode(encodeRequest({ ttl })).credential.slice();
        const start = performance.now();
        const { errno } = client.decode({ credential });
        all[which]![i] = performance.now() - start;
        if (errno !== 0) throw new Error(`A decode failed with ${errno}`);
      }
      if (i % 100 === 0) await Bun.sleep(0); // lets the daemons' logs be read
    }
    const rounds = Array.from({ length: DECODE_ROUNDS }, (_, round) => {
      const [empty, filled] = all.map((durations) =>
        latencyOf(durations.subarray(round * DECODES_PER_ROUND, (round + 1) * DECODES_PER_ROUND))
      );
      return filled!.p999 / empty!.p999;
    });
    const [empty, filled] = all.map(latencyOf);
    const ratio = Math.round(median(rounds) * 100) / 100;
    return { entries, empty: empty!, filled: filled!, ratio };
  } finally {
    await realm.close();
  }
}

if (import.meta.main) {
  const { json, largest, live } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      largest: { type: "string", default: "10000000" },
      live: { type: "string", default: "5000000" },
    },
  }).values;
  const cache = measureCache(Number(largest));
  const decode = await compareDecodes(Number(live));
  if (json) {
    console.log(JSON.stringify({ cache, decode }, null, 2));
  } else {
    const row = (...cells: readonly (number | string)[]) =>
      console.log(cells.map((cell) => String(cell).padStart(12)).join(""));
    row("entries", "bytes/entry", "p50 us", "p99 us", "p99.9 us");
    for (const { entries, bytesPerEntry, insertion: { p50, p99, p999 } } of cache) {
      row(entries, bytesPerEntry, p50, p99, p999);
    }
    row("decode", "live", "p50 us", "p99 us", "p99.9 us");
    row("", 0, decode.empty.p50, decode.empty.p99, decode.empty.p999);
    row("", decode.entries, decode.filled.p50, decode.filled.p99, decode.filled.p999);
    console.log(
      `p99.9 with ${decode.entries} entries: ${decode.ratio} times that of an empty cache`,
    );
  }
}
