// What the replay cache's tests share: random keys, and presenting them.
import type { ReplayCache } from "../../../../daemon/munged/replay/cache.ts";

/** Seconds since the epoch, at the start of a minute. */
export const NOW = 1_800_000_000;

/** This many consecutive keys of 16 bytes. */
export function randomKeys(count: number): Uint8Array {
  const keys = new Uint8Array(count * 16);
  for (let at = 0; at < keys.length; at += 65_536) {
    crypto.getRandomValues(keys.subarray(at, at + 65_536));
  }
  return keys;
}

/** One of them. */
export function key(keys: Uint8Array, index: number): Uint8Array {
  return keys.subarray(index * 16, index * 16 + 16);
}

/** The process that presents credentials by default. */
export const PROCESS = { pid: 4711, uid: 1000 };

/** Presents a credential. Returns whether it was new. */
export function insert(cache: ReplayCache, key: Uint8Array, expiry: number): boolean {
  const presented = { key, requester: PROCESS, isRetry: false, now: NOW };
  return typeof cache.remember(presented, expiry) !== "string";
}
