// When each cause that may recur endlessly was last logged, for all threads of munged together.

const LIMIT_SECONDS = 300;
/** More slots than there are causes. */
const SLOTS = 64;
const SLOT_WORDS = 3;
const CAUSE = 0;
const SINCE = 1;
const SUPPRESSED = 2;

/** Memory with no causes logged yet. */
export function createLogLimits(): SharedArrayBuffer {
  return new SharedArrayBuffer(SLOTS * SLOT_WORDS * Int32Array.BYTES_PER_ELEMENT);
}

/**
 * Whether a line of this cause may be written: one in 5 minutes.
 *
 * @returns how many were suppressed since the last one, or null if this one is to be suppressed as well.
 */
export function passLogLimit(memory: SharedArrayBuffer, cause: string): number | null {
  const words = new Int32Array(memory);
  const slot = findSlot(words, cause);
  if (slot === null) return 0;
  const now = process.hrtime()[0] + 1; // a clock shared by all threads; never 0
  const since = Atomics.load(words, slot + SINCE);
  const isDue = since === 0 || now - since >= LIMIT_SECONDS;
  if (isDue && Atomics.compareExchange(words, slot + SINCE, since, now) === since) {
    return Atomics.exchange(words, slot + SUPPRESSED, 0);
  }
  Atomics.add(words, slot + SUPPRESSED, 1);
  return null;
}

/** The slot of a cause, used or free; null if other causes have all slots. */
function findSlot(words: Int32Array, cause: string): number | null {
  const hash = hashText(cause);
  for (let i = 0; i < SLOTS; i++) {
    const slot = ((hash >>> 1) + i) % SLOTS * SLOT_WORDS;
    const present = Atomics.compareExchange(words, slot + CAUSE, 0, hash);
    if (present === 0 || present === hash) return slot;
  }
  return null;
}

/** FNV-1a, but never 0. */
export function hashText(text: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193);
  return hash | 1;
}
