// How much of the log clients can fill, for all threads together: some lines a minute of each cause and user, and
// some kilobytes a second of all. Without that, whoever can connect could fill the log's disk.
import { hashText } from "./log_limits.ts";

const WINDOW_SECONDS = 60;
/** Lines of one cause and user within that time. */
const LINES = 10;
/**
 * Bytes a second over all causes and users, and as many at once: so there are never more than twice as many within
 * a second.
 */
const BYTES_PER_SECOND = 5_000;
const BURST_MS = 1_000;

/** Causes and users that are told apart; with more at a time, some share their lines with others. */
const SETS = 512;
const WAYS = 4;
const SLOT_WORDS = 4;
const SLOT = { tag: 0, since: 1, lines: 2, suppressed: 3 } as const;
/** When the log may take more, in milliseconds of the shared clock: the word before the slots. */
const FREE_AT = 0;
const HEAD = SLOT_WORDS;

/** Memory with nothing logged yet. */
export function createClientLimits(): SharedArrayBuffer {
  const words = HEAD + SETS * WAYS * SLOT_WORDS;
  return new SharedArrayBuffer(words * Int32Array.BYTES_PER_ELEMENT);
}

/**
 * Whether a line that a client caused may be written.
 *
 * @param cause from a fixed set of words.
 * @param lengthOf tells the bytes of the line; called only if the number of lines allows for it.
 * @returns how many lines of this cause and user were suppressed before it, or null if it is to be, too.
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

/** The slot of a cause and user, with the window of `now` begun in it. */
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

/** Begins a window, unless one is under way; whether it has. */
function beginWindow(words: Int32Array, slot: number, now: number): boolean {
  const since = Atomics.load(words, slot + SLOT.since);
  if (since !== 0 && now - since < WINDOW_SECONDS) return false;
  if (Atomics.compareExchange(words, slot + SLOT.since, since, now) !== since) return false;
  Atomics.store(words, slot + SLOT.lines, 0);
  return true;
}

/** Takes room for a line, if the log has some left; the generic cell rate algorithm (ITU-T I.371). */
function takeBytes(words: Int32Array, now: number, bytes: number): boolean {
  const cost = Math.ceil(bytes * 1000 / BYTES_PER_SECOND);
  for (;;) {
    const found = Atomics.load(words, FREE_AT);
    const isOfToday = found <= now + BURST_MS; // else the clock has been around since
    const next = (isOfToday ? Math.max(found, now) : now) + cost;
    if (next - now > BURST_MS) return false;
    if (Atomics.compareExchange(words, FREE_AT, found, next) === found) return true;
  }
}
