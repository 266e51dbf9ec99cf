// The credentials that expire within one minute, in memory shared by all threads of munged: an open-addressing hash table
// with lock-free insertion, which grows by whole segments (segments.ts).
//
// A slot consists of three 32-bit words of the credential's MAC and one with the entry's state (entry.ts). The first word
// claims a slot by compare-and-swap; the last one, stored last and never 0, publishes it. Entries never move. No thread
// inserts while a segment is being added, so that two threads never see different numbers of segments. Every wait for
// another thread is bounded: if that thread does not continue, only the credentials of its minute are refused.
import { clearMemory, mapMemory, memoryAt } from "../../../lib/os/anonymous_memory.ts";
import { afterLoss, afterReplay, afterRetry, isForgotten, liveEntry } from "./entry.ts";
import { NO_TAG, type Requester, requesterTag } from "./requester.ts";
import { FULL_AT, GROW_AT, MAX_SEGMENTS, PAGE, SEGMENTS, SLOT_WORDS } from "./segments.ts";

/**
 * How often to pause for another thread in the middle of a change: about a second, for something that takes microseconds.
 * Counted in pauses, because time also passes while the whole process is stopped.
 */
const PATIENCE = 10_000;
/** The same for a slot that is claimed but not published; after that it counts as the requested credential. */
const PUBLISH_PATIENCE = 1_000;

/** Result of a search in a table without an empty slot. */
const NOWHERE = -1;

/** Words of the header page. */
const HEADER = {
  segments: 0,
  /** Number of inserting threads. */
  inserters: 1,
  growing: 2,
  growLock: 3,
  /** 1 after waiting in vain for a thread that was growing the table or inserting. */
  stuck: 4,
  /** Two words: the secret for requesters' tags. */
  secret: 6,
  /** Entries in each segment. */
  counts: 16,
  /** Address of each segment that has or had memory, as a two-word float. */
  addresses: 16 + MAX_SEGMENTS,
} as const;

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/** Lets other threads run for a moment. */
function pause(): void {
  Atomics.wait(sleepCell, 0, 0, 0.05);
}

/** The status of a presented credential: new, retried after a lost answer, or a replay. */
export type Verdict = "new" | "retried" | "replayed";

/** A presented credential. */
export interface Presented {
  /** Its identity: pseudo-random bytes, of which {@linkcode KEY_LENGTH} count. */
  readonly key: Uint8Array;
  readonly requester: Requester;
  /** Whether the client indicates a retry. */
  readonly isRetry: boolean;
  /** Seconds since the epoch. */
  readonly now: number;
}

/** Bytes that identify a credential. */
export const KEY_LENGTH = 12;

/** The two words of a new table's secret. */
export function newSecret(): Int32Array {
  return crypto.getRandomValues(new Int32Array(2));
}

/** One thread's view of one minute's table. */
export class ReplayTable {
  /** Address of its header, which is all that another thread needs. */
  readonly address: number;
  readonly #header: Int32Array;
  readonly #addresses: Float64Array;
  readonly #segments: Int32Array[] = [];
  /** The words of the entry that {@linkcode remember} changed. */
  readonly entry: Int32Array = new Int32Array(SLOT_WORDS);
  /** The same, as bytes. */
  readonly entryBytes: Uint8Array = new Uint8Array(this.entry.buffer);
  /** Whether it changed in a way that a successor must know about. */
  hasChanged = false;

  private constructor(address: number) {
    this.address = address;
    this.#header = memoryAt(address, PAGE);
    const { buffer } = this.#header;
    this.#addresses = new Float64Array(buffer, HEADER.addresses * 4, MAX_SEGMENTS);
  }

  /**
   * Creates an empty table.
   *
   * @param used address of a cleared table whose memory it reuses; 0 for none.
   * @throws {SystemError} ENOMEM.
   */
  static create(used: number, secret: Int32Array): ReplayTable {
    const table = new ReplayTable(used === 0 ? mapMemory(PAGE) : used);
    table.#requireMemory(0);
    table.#header.set(secret, HEADER.secret);
    table.#header[HEADER.segments] = 1;
    return table;
  }

  /** The view of a table created by another thread. */
  static at(address: number): ReplayTable {
    return new ReplayTable(address);
  }

  /** Releases the memory, except for addresses that another table reuses; no thread may still use this table. */
  clear(): void {
    this.#addresses.forEach((address, segment) => {
      if (address !== 0) clearMemory(address, lengthOf(segment));
    });
    this.#header.fill(0, 0, HEADER.addresses);
  }

  #requireMemory(segment: number): void {
    if (this.#addresses[segment] === 0) this.#addresses[segment] = mapMemory(lengthOf(segment));
  }

  /** Number of entries, including forgotten ones, and their size in bytes. */
  usage(): { entries: number; bytes: number } {
    const words = this.#header;
    const segments = Atomics.load(words, HEADER.segments);
    let entries = 0;
    for (let i = 0; i < segments; i++) entries += Atomics.load(words, HEADER.counts + i);
    return { entries, bytes: SEGMENTS[segments - 1]!.end };
  }

  /**
   * Remembers a credential unless it is already remembered: of any number of threads that present the same one, exactly one
   * finds it new.
   *
   * @throws {SystemError} if the table is full and there is no memory to grow it.
   * @throws {Error} if a thread that stopped in the middle of a change blocks this one.
   */
  remember(presented: Presented): Verdict {
    const words = this.#header;
    this.#setKey(presented.key);
    this.#presented = presented;
    this.#tag = requesterTag(
      presented.requester,
      words[HEADER.secret]!,
      words[HEADER.secret + 1]!,
    );
    for (;;) {
      const segments = this.#enter();
      let outcome: Verdict | "inserted" | "full";
      try {
        outcome = this.#rememberWithin(segments);
      } finally {
        Atomics.sub(words, HEADER.inserters, 1);
      }
      if (outcome === "full") {
        this.#grow(segments, true);
        continue;
      }
      if (outcome !== "inserted") return outcome;
      if (this.#countEntry(segments)) this.#grow(segments, false);
      return "new";
    }
  }

  /** Counts an entry in the last segment. Returns whether it is time for another one. */
  #countEntry(segments: number): boolean {
    const count = Atomics.add(this.#header, HEADER.counts + segments - 1, 1) + 1;
    return count >= SEGMENTS[segments - 1]!.slots * GROW_AT;
  }

  /**
   * Makes a credential new again whose answer was not delivered, unless it was accepted again since.
   *
   * @returns whether it is new now.
   */
  forget(key: Uint8Array): boolean {
    this.#setKey(key);
    const segments = this.#enter();
    try {
      for (let i = 0; i < segments; i++) {
        const words = this.#segment(i);
        if (!this.#probe(words)) continue;
        const at = this.#at + 3;
        for (let word = Atomics.load(words, at);;) {
          const next = afterLoss(word);
          const found = Atomics.compareExchange(words, at, word, next);
          if (found === word) return next !== word;
          word = found;
        }
      }
      return false;
    } finally {
      Atomics.sub(this.#header, HEADER.inserters, 1);
    }
  }

  /** Inserts an entry of an earlier process, before any other thread has access to this table. */
  restore(entry: Int32Array): void {
    this.#setEntry(entry);
    const header = this.#header;
    const segments = header[HEADER.segments]!;
    const words = this.#segment(segments - 1);
    for (
      let at = this.#start(words);;
      at = at + SLOT_WORDS === words.length ? 0 : at + SLOT_WORDS
    ) {
      if (words[at] !== 0) continue;
      words.set(entry, at);
      break;
    }
    if (this.#countEntry(segments)) this.#grow(segments, true);
  }

  /** Stops believing retries for an entry of an earlier process. */
  restoreReplay(entry: Int32Array): void {
    this.#setEntry(entry);
    const segments = this.#header[HEADER.segments]!;
    for (let i = 0; i < segments; i++) {
      const words = this.#segment(i);
      if (!this.#probe(words)) continue;
      words[this.#at + 3] = afterReplay(words[this.#at + 3]!);
      return;
    }
    this.restore(entry);
  }

  /** The words of the current key; the first is never 0. */
  #w0 = 0;
  #w1 = 0;
  #w2 = 0;

  #setKey(key: Uint8Array): void {
    this.#w0 = word(key, 0) || 1;
    this.#w1 = word(key, 4);
    this.#w2 = word(key, 8);
  }

  #setEntry(entry: Int32Array): void {
    this.#w0 = entry[0]!;
    this.#w1 = entry[1]!;
    this.#w2 = entry[2]!;
  }

  #presented: Presented | undefined;
  #tag = NO_TAG;

  /** Counts this thread as inserting. Returns the number of segments, which then stays constant. */
  #enter(): number {
    const words = this.#header;
    for (let pauses = 0;; pauses++) {
      if (Atomics.load(words, HEADER.stuck) !== 0) throw stuck();
      Atomics.add(words, HEADER.inserters, 1);
      if (Atomics.load(words, HEADER.growing) === 0) return Atomics.load(words, HEADER.segments);
      Atomics.sub(words, HEADER.inserters, 1);
      if (pauses === PATIENCE) this.#giveUp();
      pause();
    }
  }

  /** Makes no thread wait for this table any more. */
  #giveUp(): never {
    Atomics.store(this.#header, HEADER.stuck, 1);
    throw stuck();
  }

  #rememberWithin(segments: number): Verdict | "inserted" | "full" {
    const last = segments - 1;
    for (let i = 0; i < last; i++) {
      const words = this.#segment(i);
      if (this.#probe(words)) return this.#meet(words);
    }
    const full = SEGMENTS[last]!.slots * FULL_AT;
    const words = this.#segment(last);
    for (;;) {
      if (this.#probe(words)) return this.#meet(words);
      const at = this.#at;
      if (at === NOWHERE) return "full";
      if (Atomics.load(this.#header, HEADER.counts + last) >= full) return "full";
      if (Atomics.compareExchange(words, at, 0, this.#w0) !== 0) continue; // another thread was faster
      words[at + 1] = this.#w1;
      words[at + 2] = this.#w2;
      const state = liveEntry(this.#tag, this.#presented!.now);
      Atomics.store(words, at + 3, state);
      this.#changed(state);
      return "inserted";
    }
  }

  #changed(state: number): void {
    const { entry } = this;
    entry[0] = this.#w0;
    entry[1] = this.#w1;
    entry[2] = this.#w2;
    entry[3] = state;
    this.hasChanged = true;
  }

  /** The result of presenting a credential whose entry was found. */
  #meet(words: Int32Array): Verdict {
    this.hasChanged = false;
    const at = this.#at + 3;
    const { isRetry, now } = this.#presented!;
    for (let word = Atomics.load(words, at);;) {
      if (word === 0) return "replayed"; // its credential is unknown, see #holds()
      let verdict: Verdict = "replayed";
      let next = isRetry ? afterRetry(word, this.#tag, now) : null;
      if (isForgotten(word)) {
        verdict = "new";
        next = liveEntry(this.#tag, now);
      } else if (next === null) next = afterReplay(word);
      else verdict = "retried";
      const found = Atomics.compareExchange(words, at, word, next);
      if (found === word) {
        if (next !== word && verdict !== "retried") this.#changed(next);
        return verdict;
      }
      word = found;
    }
  }

  /** Result of the last search: the key's slot, an empty one, or {@linkcode NOWHERE}. */
  #at = NOWHERE;

  /** Start of the search for the current key. */
  #start(words: Int32Array): number {
    // Unsigned, so that the remainder is computed with small integers.
    return ((this.#w1 & 0x7fff_ffff) % (words.length / SLOT_WORDS | 0)) * SLOT_WORDS;
  }

  /** Looks for the current key, in any state. Returns whether it is there. */
  #probe(words: Int32Array): boolean {
    const end = words.length;
    const w0 = this.#w0;
    const start = this.#start(words);
    let at = start;
    do {
      const first = Atomics.load(words, at);
      if (first === 0 || (first === w0 && this.#holds(words, at))) {
        this.#at = at;
        return first !== 0;
      }
      at += SLOT_WORDS;
      if (at === end) at = 0;
    } while (at !== start);
    this.#at = NOWHERE;
    return false;
  }

  /** Whether the claimed slot at `at` has the current key, once its owner has published it. */
  #holds(words: Int32Array, at: number): boolean {
    for (let pauses = 0; Atomics.load(words, at + 3) === 0; pauses++) {
      // Its owner died between claim and publication. Its credential is unknown,
      // and a replay must not pass: it is taken for the one that is asked about.
      if (pauses === PUBLISH_PATIENCE) return true;
      pause();
    }
    return words[at + 1] === this.#w1 && words[at + 2] === this.#w2;
  }

  /** Adds a segment behind the `segments` there were, unless another thread does. */
  #grow(segments: number, needed: boolean): void {
    const words = this.#header;
    const next = SEGMENTS[segments];
    if (next === undefined) {
      if (needed) throw new RangeError("The replay table has no room for more segments");
      return;
    }
    if (Atomics.compareExchange(words, HEADER.growLock, 0, 1) !== 0) {
      if (needed) this.#waitForGrowth(segments);
      return;
    }
    try {
      if (Atomics.load(words, HEADER.segments) !== segments) return;
      try {
        this.#requireMemory(segments);
      } catch (error) {
        if (needed) throw error;
        return; // there are free slots yet: the thread that finds none will say so
      }
      Atomics.store(words, HEADER.growing, 1);
      for (let pauses = 0; Atomics.load(words, HEADER.inserters) !== 0; pauses++) {
        if (pauses === PATIENCE) this.#giveUp();
        pause();
      }
      Atomics.store(words, HEADER.segments, segments + 1);
      Atomics.store(words, HEADER.growing, 0);
    } finally {
      Atomics.store(words, HEADER.growLock, 0);
    }
  }

  /** Waits until another thread has added a segment, or let it be. */
  #waitForGrowth(segments: number): void {
    const words = this.#header;
    for (
      let pauses = 0;
      Atomics.load(words, HEADER.growLock) !== 0 &&
      Atomics.load(words, HEADER.segments) === segments;
      pauses++
    ) {
      if (pauses === PATIENCE) this.#giveUp();
      pause();
    }
  }

  #segment(index: number): Int32Array {
    return this.#segments[index] ??= memoryAt(this.#addresses[index]!, lengthOf(index));
  }
}

function lengthOf(segment: number): number {
  const { offset, end } = SEGMENTS[segment]!;
  return end - offset;
}

function stuck(): Error {
  return new Error("A thread stopped while it changed the replay table");
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!;
}
