// The credentials that expire within one minute, in memory that all threads of munged share: an open-addressing
// hash table without locks on the way of an insertion, which grows by whole segments (segments.ts).
//
// A slot is three 32-bit words of the credential's MAC and one that says what may become of the entry
// (entry.ts). The first word claims a slot by compare-and-swap, the last one, stored last and never 0,
// publishes it. Entries are never moved. While a segment is being added nobody inserts, so that two threads
// never look at different numbers of segments at once. Every wait for another thread ends: one that does not
// go on costs the credentials of its minute, which are refused, and nobody else.
import { clearMemory, mapMemory, memoryAt } from "../../../lib/os/anonymous_memory.ts";
import { afterLoss, afterReplay, afterRetry, isForgotten, liveEntry } from "./entry.ts";
import { NO_TAG, type Requester, requesterTag } from "./requester.ts";
import { FULL_AT, GROW_AT, MAX_SEGMENTS, PAGE, SEGMENTS, SLOT_WORDS } from "./segments.ts";

/**
 * How often to pause for another thread that is in the middle of a change: a second or so, for what takes
 * microseconds. Pauses, not time, which also passes while the whole process is stopped.
 */
const PATIENCE = 10_000;
/** The same for a slot that was claimed and not published; then it counts as the credential asked about. */
const PUBLISH_PATIENCE = 1_000;

/** Where the search in a table without an empty slot ends. */
const NOWHERE = -1;

/** Words of the header page. */
const HEADER = {
  segments: 0,
  /** Threads that insert. */
  inserters: 1,
  growing: 2,
  growLock: 3,
  /** 1 when a thread that grew the table or inserted was waited for in vain. */
  stuck: 4,
  /** Two words: the secret that requesters' tags are made with. */
  secret: 6,
  /** Entries in each segment. */
  counts: 16,
  /** Address of each segment that there is or was memory for, as a float of two words. */
  addresses: 16 + MAX_SEGMENTS,
} as const;

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/** Lets other threads run for a moment. */
function pause(): void {
  Atomics.wait(sleepCell, 0, 0, 0.05);
}

/** What a credential that is presented is: new, presented again after a lost answer, or a replay. */
export type Verdict = "new" | "retried" | "replayed";

/** A credential that is presented. */
export interface Presented {
  /** What names it: bytes as good as random, {@linkcode KEY_LENGTH} of which count. */
  readonly key: Uint8Array;
  readonly requester: Requester;
  /** Whether the client says that it has asked before. */
  readonly isRetry: boolean;
  /** Seconds since the epoch. */
  readonly now: number;
}

/** Bytes that credentials are told apart by. */
export const KEY_LENGTH = 12;

/** The two words of a new table's secret. */
export function newSecret(): Int32Array {
  return crypto.getRandomValues(new Int32Array(2));
}

/** One thread's view of one minute's table. */
export class ReplayTable {
  /** Where its header is, which is all that another thread must know. */
  readonly address: number;
  readonly #header: Int32Array;
  readonly #addresses: Float64Array;
  readonly #segments: Int32Array[] = [];
  /** The words of the entry that {@linkcode remember} has changed. */
  readonly entry: Int32Array = new Int32Array(SLOT_WORDS);
  /** The same as bytes. */
  readonly entryBytes: Uint8Array = new Uint8Array(this.entry.buffer);
  /** Whether it changed in a way that a successor must know of. */
  hasChanged = false;

  private constructor(address: number) {
    this.address = address;
    this.#header = memoryAt(address, PAGE);
    const { buffer } = this.#header;
    this.#addresses = new Float64Array(buffer, HEADER.addresses * 4, MAX_SEGMENTS);
  }

  /**
   * An empty table.
   *
   * @param used the address of one that was cleared, whose memory it takes over; 0 for none.
   * @throws {SystemError} ENOMEM.
   */
  static create(used: number, secret: Int32Array): ReplayTable {
    const table = new ReplayTable(used === 0 ? mapMemory(PAGE) : used);
    table.#requireMemory(0);
    table.#header.set(secret, HEADER.secret);
    table.#header[HEADER.segments] = 1;
    return table;
  }

  /** A table that another thread made. */
  static at(address: number): ReplayTable {
    return new ReplayTable(address);
  }

  /** Gives the memory back, but for the addresses that another table takes over; nobody may use this one. */
  clear(): void {
    this.#addresses.forEach((address, segment) => {
      if (address !== 0) clearMemory(address, lengthOf(segment));
    });
    this.#header.fill(0, 0, HEADER.addresses);
  }

  #requireMemory(segment: number): void {
    if (this.#addresses[segment] === 0) this.#addresses[segment] = mapMemory(lengthOf(segment));
  }

  /** Entries, forgotten ones included, and the bytes that they take. */
  usage(): { entries: number; bytes: number } {
    const words = this.#header;
    const segments = Atomics.load(words, HEADER.segments);
    let entries = 0;
    for (let i = 0; i < segments; i++) entries += Atomics.load(words, HEADER.counts + i);
    return { entries, bytes: SEGMENTS[segments - 1]!.end };
  }

  /**
   * Remembers a credential unless it is remembered already: of any number of threads that present the same
   * one, exactly one finds it new.
   *
   * @throws {SystemError} when the table is full and the system has no memory for more.
   * @throws {Error} when a thread that stopped in the middle of a change keeps this one from going on.
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

  /** Counts an entry in the last segment; whether it is time for another one. */
  #countEntry(segments: number): boolean {
    const count = Atomics.add(this.#header, HEADER.counts + segments - 1, 1) + 1;
    return count >= SEGMENTS[segments - 1]!.slots * GROW_AT;
  }

  /**
   * Makes a credential new again whose answer was not delivered, unless it was accepted once more since.
   *
   * @returns whether it is.
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

  /** Inserts an entry of an earlier process, before any other thread knows this table. */
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

  /** Has no retry be believed for an entry of an earlier process any more. */
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

  /** The words of the key in hand; the first is never 0. */
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

  /** Counts this thread among those that insert; returns the number of segments, which then stands still. */
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

  /** Nobody waits for this table any more. */
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
      if (Atomics.compareExchange(words, at, 0, this.#w0) !== 0) continue; // somebody was faster
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

  /** What presenting the credential whose entry was found comes to. */
  #meet(words: Int32Array): Verdict {
    this.hasChanged = false;
    const at = this.#at + 3;
    const { isRetry, now } = this.#presented!;
    for (let word = Atomics.load(words, at);;) {
      if (word === 0) return "replayed"; // whose it was nobody knows, see #holds()
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

  /** Where the last search ended: at the key's slot, at an empty one, or {@linkcode NOWHERE}. */
  #at = NOWHERE;

  /** Where the search for the key in hand starts. */
  #start(words: Int32Array): number {
    // Without its sign, so that the remainder is one of small integers.
    return ((this.#w1 & 0x7fff_ffff) % (words.length / SLOT_WORDS | 0)) * SLOT_WORDS;
  }

  /** Looks for the key in hand, in whatever state; tells whether it is there. */
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

  /** Whether the claimed slot at `at` holds the key in hand, once its owner has published it. */
  #holds(words: Int32Array, at: number): boolean {
    for (let pauses = 0; Atomics.load(words, at + 3) === 0; pauses++) {
      // Its owner died between claim and publication. Whose credential it was nobody knows any more,
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
