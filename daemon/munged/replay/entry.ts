// The last word of a replay entry: its state, when its credential was decoded, and by which process. This file decides which
// retries are believed; table.ts stores the entries.
import {
  connectPause,
  MAX_CONNECT_TRIES,
  MAX_TRANSACTIONS,
  transactionPause,
} from "../../../lib/protocol/retry.ts";
import { MESSAGE_TIMEOUT_MS } from "../../../lib/protocol/message.ts";
import { NO_TAG } from "./requester.ts";

/** States of an entry, in the lowest bits of its last word; 0 means it is being written. */
const STATE = {
  /** If the answer turns out not to have been delivered, the credential becomes new again. A retry is believed. */
  live: 1,
  /** A retry was answered: the entry stays, whatever becomes of earlier answers. More retries are believed. */
  retried: 2,
  /** Another request presented the credential: like `live`, but no more retries are believed. */
  replayed: 3,
  /** Both `retried` and `replayed`: final. */
  final: 4,
  /** The answer was not delivered: the credential is new again. */
  forgotten: 5,
} as const;
const STATE_MASK = 7;

const TIME_SHIFT = 3;
const TIME_BITS = 12;
const TIME_MASK = (1 << TIME_BITS) - 1;
const TAG_SHIFT = TIME_SHIFT + TIME_BITS; // the rest is the tag (TAG_BITS)
/** Resolution of times in seconds: 12 bits cover more than the time in which a credential can be decoded. */
const TIME_UNIT = 4;

/** Maximum time between a client's first request and its last retry, in seconds. */
export const RETRY_WINDOW: number = (() => {
  let milliseconds = 0;
  for (let failures = 1; failures < MAX_TRANSACTIONS; failures++) {
    milliseconds += 2 * MESSAGE_TIMEOUT_MS + transactionPause(failures);
    for (let tries = 1; tries < MAX_CONNECT_TRIES; tries++) milliseconds += connectPause(tries);
  }
  return milliseconds / 1000;
})();
const WINDOW_UNITS = Math.ceil(RETRY_WINDOW / TIME_UNIT);

/** The word for a credential that was just decoded. @param now seconds since the epoch. */
export function liveEntry(tag: number, now: number): number {
  return tag << TAG_SHIFT | timeOf(now) << TIME_SHIFT | STATE.live;
}

/** Whether the credential counts as new. */
export function isForgotten(word: number): boolean {
  return (word & STATE_MASK) === STATE.forgotten;
}

/**
 * The word after a believed retry, or null for one that is not believed: it must come from the process that decoded the
 * credential, within the time in which clients retry, and no other request may have presented the credential since.
 */
export function afterRetry(word: number, tag: number, now: number): number | null {
  const state = word & STATE_MASK;
  if (state !== STATE.live && state !== STATE.retried) return null;
  if (tag === NO_TAG || word >>> TAG_SHIFT !== tag) return null;
  const age = (timeOf(now) - (word >>> TIME_SHIFT)) & TIME_MASK;
  return age > WINDOW_UNITS ? null : withState(word, STATE.retried);
}

/** The word after the credential was presented again and refused as a replay. */
export function afterReplay(word: number): number {
  const state = word & STATE_MASK;
  if (state === STATE.live) return withState(word, STATE.replayed);
  if (state === STATE.retried) return withState(word, STATE.final);
  return word;
}

/** The word after its answer turned out not to have been delivered; unchanged for an entry that stays. */
export function afterLoss(word: number): number {
  const state = word & STATE_MASK;
  return state === STATE.live || state === STATE.replayed ? withState(word, STATE.forgotten) : word;
}

function withState(word: number, state: number): number {
  return word & ~STATE_MASK | state;
}

function timeOf(now: number): number {
  return Math.floor(now / TIME_UNIT) & TIME_MASK;
}

/** Whether {@linkcode liveEntry} made the word. */
export function isLive(word: number): boolean {
  return (word & STATE_MASK) === STATE.live;
}

/** Whether it is live, but no retry is believed because it has no tag. */
export function isUnclaimed(word: number): boolean {
  return isLive(word) && word >>> TAG_SHIFT === NO_TAG;
}
