// Limits how much clients can write to the log, for all threads together: a few lines a minute per cause and user, and some
// kilobytes a second in total. Otherwise any user who can connect could fill the log's disk.
import { hashText } from "./log_limits.ts";

const WINDOW_SECONDS = 60;
/** Lines per cause and user within that time. */
const LINES = 10;
/**
 * Bytes a second for all causes and users together. A burst may be as large, so no second has more than twice as many.
 */
const BYTES_PER_SECOND = 5_000;
const BURST_MS = 1_000;

/** Number of distinct causes and users; with more at a time, some share a limit. */
const SETS = 512;
const WAYS = 4;
const SLOT_WORDS = 4;
const SLOT = { tag: 0, since: 1, lines: 2, suppressed: 3 } as const;
/** When the log may take more, in milliseconds of the shared clock; the word before the slots. */
const FREE_AT = 0;
const HEAD = SLOT_WORDS;

/** Memory with nothing logged yet. */
export function createClientLimits(): SharedArrayBuffer {
  const words = HEAD + SETS * WAYS * SLOT_WORDS;
  return new SharedArrayBuffer(words * Int32Array.BYTES_PER_ELEMENT);
}

/**
 * Whether a line caused by a client may be written.
 *
 * @param cause from a fixed set of words.
 * @param lengthOf returns the line's length in bytes; called only if the number of lines permits it.
 * @returns how many lines of this cause and user were suppressed before it, or null if it is suppressed as well.
 */
export function passClientLimit(
  memory: SharedArrayBuffer,
  cause: string,
  uid: number,
  lengthOf: () => number,
): number | null {
  const words = new Int32Array(memory);
  const [seconds, nanoseconds] = process.hrtime(); // a clock shared by all threads
  const slot = findSlot(words, hashText(`${uid} ${cause}`), seconds + 1);
  const now = (seconds % 1_000_000) * 1000 + Math.floor(nanoseconds / 1e6);
  const isLimited = Atomics.add(words, slot + SLOT.lines, 1) >= LINES;
  if (!isLimited && takeBytes(words, now, lengthOf())) {
    return Atomics.exchange(words, slot + SLOT.suppressed, 0);
  }
  if (!isLimited) Atomics.sub(words, slot + SLOT.lines, 1);
  Atomics.add(words, slot + SLOT.suppressed, 1);
  return null;
}

/** The slot of a cause and user, with the window for `now` started in it. */
function findSlot(words: Int32Array, tag: number, now: number): number {
  const first = HEAD + ((tag >>> 1) % SETS) * WAYS * SLOT_WORDS;
  let oldest = first;
  for (let way = 0; way < WAYS; way++) {
    const slot = first + way * SLOT_WORDS;
    if (Atomics.load(words, slot + SLOT.tag) === tag) {
      beginWindow(words, slot, now);
      return slot;
    }
    if (Atomics.load(words, slot + SLOT.since) < Atomics.load(words, oldest + SLOT.since)) {
      oldest = slot;
    }
  }
  if (beginWindow(words, oldest, now)) {
    Atomics.store(words, oldest + SLOT.tag, tag);
    Atomics.store(words, oldest + SLOT.suppressed, 0);
  }
  return oldest;
}

/** Starts a window, unless one is in progress. Returns whether it did. */
function beginWindow(words: Int32Array, slot: number, now: number): boolean {
  const since = Atomics.load(words, slot + SLOT.since);
  if (since !== 0 && now - since < WINDOW_SECONDS) return false;
  if (Atomics.compareExchange(words, slot + SLOT.since, since, now) !== since) return false;
  Atomics.store(words, slot + SLOT.lines, 0);
  return true;
}

/** Claims room for a line, if there is any left; the generic cell rate algorithm (ITU-T I.371). */
function takeBytes(words: Int32Array, now: number, bytes: number): boolean {
  const cost = Math.ceil(bytes * 1000 / BYTES_PER_SECOND);
  for (;;) {
    const found = Atomics.load(words, FREE_AT);
    const isCurrent = found <= now + BURST_MS; // otherwise the clock has wrapped around since
    const next = (isCurrent ? Math.max(found, now) : now) + cost;
    if (next - now > BURST_MS) return false;
    if (Atomics.compareExchange(words, FREE_AT, found, next) === found) return true;
  }
}
