// The credentials that expire within one minute, in a file that all threads of munged map: an
// open-addressing hash table without locks on the way of an insertion, which grows by whole segments.
//
// A slot is three 32-bit words of the credential's MAC and one that says what may become of the entry
// (entry.ts). The first word claims a slot by compare-and-swap, the last one, stored last and never 0,
// publishes it. Entries are never moved. While a segment is being added nobody inserts, so that two threads
// never look at different numbers of segments at once.
import {
  allocateSpace,
  fillHoles,
  mapShared,
  type SharedMapping,
  unmapShared,
} from "../../../lib/os/shared_memory.ts";
import { afterLoss, afterReplay, afterRetry, isForgotten, liveEntry } from "./entry.ts";
import { NO_TAG, type Requester, requesterTag } from "./requester.ts";

const PAGE = 4096;
const SLOT_WORDS = 4;
const SLOT_BYTES = SLOT_WORDS * 4;
const SLOTS_PER_PAGE = PAGE / SLOT_BYTES;
/** Slots of the first segment. */
const FIRST_SEGMENT_SLOTS = 1024;
/**
 * Share of the last segment's slots in use at which another one is added. With more, searches run longer; with
 * less, there are more segments to search.
 */
const GROW_AT = 0.75;
/** What a table takes, its header included, from 768 entries on: each segment is as large as this allows. */
const MOST_BYTES_PER_ENTRY = 32;
/** Share of a segment's slots in use at which it takes no more. */
const FULL_AT = 0.95;
const MAX_SEGMENTS = 40;
/** How long a slot that somebody claimed may stay unpublished before it counts as the same credential. */
const PUBLISH_TIMEOUT_MS = 100;

/** Where the search in a table without an empty slot ends. */
const NOWHERE = -1;

const MAGIC = 0x4d524550; // "MREP"
const VERSION = 3;
/** Words of the header page. */
const HEADER = {
  magic: 0,
  version: 1,
  minute: 2,
  segments: 3,
  inserters: 4,
  growing: 5,
  growLock: 6,
  /** Two words: the secret that requesters' tags are made with. */
  secret: 8,
  counts: 16,
} as const;

/** Slots of each segment, and where in the file it begins. */
const SEGMENTS: readonly { readonly slots: number; readonly offset: number }[] = (() => {
  const segments = [];
  let total = 0;
  for (let i = 0; i < MAX_SEGMENTS; i++) {
    const allowed = (total * GROW_AT * MOST_BYTES_PER_ENTRY - PAGE) / SLOT_BYTES;
    const slots = i === 0
      ? FIRST_SEGMENT_SLOTS
      : Math.floor((allowed - total) / SLOTS_PER_PAGE) * SLOTS_PER_PAGE;
    segments.push({ slots, offset: PAGE + total * SLOT_BYTES });
    total += slots;
  }
  return segments;
})();

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

/** One thread's view of one minute's table. */
export class ReplayTable {
  readonly #fd: number;
  readonly #header: SharedMapping;
  readonly #segments: SharedMapping[] = [];

  private constructor(fd: number, header: SharedMapping) {
    this.#fd = fd;
    this.#header = header;
  }

  /** Lays an empty table out in an empty file. */
  static format(fd: number, minute: number): void {
    allocateSpace(fd, 0, PAGE + FIRST_SEGMENT_SLOTS * SLOT_BYTES);
    const header = mapShared(fd, 0, PAGE);
    header.words[HEADER.version] = VERSION;
    header.words[HEADER.minute] = minute;
    header.words[HEADER.segments] = 1;
    crypto.getRandomValues(header.words.subarray(HEADER.secret, HEADER.secret + 2));
    Atomics.store(header.words, HEADER.magic, MAGIC);
    unmapShared(header);
  }

  /**
   * Takes over a table of a process that ended, however it ended.
   *
   * @param size bytes in the file.
   * @returns false if the file is not a whole table of that minute.
   * @throws {SystemError} when its holes, as a copy may have, get no space.
   */
  static adopt(fd: number, minute: number, size: number): boolean {
    if (size < PAGE) return false;
    const header = mapShared(fd, 0, PAGE);
    try {
      const words = header.words;
      const last = SEGMENTS[words[HEADER.segments]! - 1];
      if (
        words[HEADER.magic] !== MAGIC || words[HEADER.version] !== VERSION ||
        words[HEADER.minute] !== minute || last === undefined ||
        size < last.offset + last.slots * SLOT_BYTES
      ) return false;
      fillHoles(fd, last.offset + last.slots * SLOT_BYTES);
      words[HEADER.inserters] = 0;
      words[HEADER.growing] = 0;
      words[HEADER.growLock] = 0;
      return true;
    } finally {
      unmapShared(header);
    }
  }

  /** Maps a table that was formatted or adopted. */
  static open(fd: number): ReplayTable {
    return new ReplayTable(fd, mapShared(fd, 0, PAGE));
  }

  /** Unmaps everything; the table is of no more use to this thread. */
  close(): void {
    for (const segment of this.#segments) unmapShared(segment);
    unmapShared(this.#header);
  }

  /** Entries, removed ones included, and the bytes that they take. */
  usage(): { entries: number; bytes: number } {
    const words = this.#header.words;
    const segments = Atomics.load(words, HEADER.segments);
    let entries = 0;
    for (let i = 0; i < segments; i++) entries += Atomics.load(words, HEADER.counts + i);
    const last = SEGMENTS[segments - 1]!;
    return { entries, bytes: last.offset + last.slots * SLOT_BYTES };
  }

  /**
   * Remembers a credential unless it is remembered already: of any number of threads that present the same
   * one, exactly one finds it new.
   *
   * @throws {SystemError} when the table is full and the system has no space for more.
   */
  remember(presented: Presented): Verdict {
    const words = this.#header.words;
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
      const count = Atomics.add(words, HEADER.counts + segments - 1, 1) + 1;
      if (count >= SEGMENTS[segments - 1]!.slots * GROW_AT) this.#grow(segments, false);
      return "new";
    }
  }

  /** Makes a credential new again whose answer was not delivered, unless it was accepted once more since. */
  forget(key: Uint8Array): void {
    this.#setKey(key);
    const segments = this.#enter();
    try {
      for (let i = 0; i < segments; i++) {
        const words = this.#segment(i);
        if (!this.#probe(words)) continue;
        const at = this.#at + 3;
        for (let word = Atomics.load(words, at);;) {
          const found = Atomics.compareExchange(words, at, word, afterLoss(word));
          if (found === word) return;
          word = found;
        }
      }
    } finally {
      Atomics.sub(this.#header.words, HEADER.inserters, 1);
    }
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

  #presented: Presented | undefined;
  #tag = NO_TAG;

  /** Counts this thread among those that insert; returns the number of segments, which then stands still. */
  #enter(): number {
    const words = this.#header.words;
    for (;;) {
      Atomics.add(words, HEADER.inserters, 1);
      if (Atomics.load(words, HEADER.growing) === 0) return Atomics.load(words, HEADER.segments);
      Atomics.sub(words, HEADER.inserters, 1);
      pause();
    }
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
      if (Atomics.load(this.#header.words, HEADER.counts + last) >= full) return "full";
      if (Atomics.compareExchange(words, at, 0, this.#w0) !== 0) continue; // somebody was faster
      words[at + 1] = this.#w1;
      words[at + 2] = this.#w2;
      Atomics.store(words, at + 3, liveEntry(this.#tag, this.#presented!.now));
      return "inserted";
    }
  }

  /** What presenting the credential whose entry was found comes to. */
  #meet(words: Int32Array): Verdict {
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
      if (found === word) return verdict;
      word = found;
    }
  }

  /** Where the last search ended: at the key's slot, at an empty one, or {@linkcode NOWHERE}. */
  #at = NOWHERE;

  /** Looks for the key in hand, in whatever state; tells whether it is there. */
  #probe(words: Int32Array): boolean {
    const end = words.length;
    const w0 = this.#w0;
    // Without its sign, so that the remainder is one of small integers.
    const start = ((this.#w1 & 0x7fff_ffff) % (end / SLOT_WORDS | 0)) * SLOT_WORDS;
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
    if (Atomics.load(words, at + 3) === 0) {
      const deadline = performance.now() + PUBLISH_TIMEOUT_MS;
      while (Atomics.load(words, at + 3) === 0) {
        // Its owner died between claim and publication. Whose credential it was nobody knows any more,
        // and a replay must not pass: it is taken for the one that is asked about.
        if (performance.now() > deadline) return true;
        pause();
      }
    }
    return words[at + 1] === this.#w1 && words[at + 2] === this.#w2;
  }

  /** Adds a segment behind the `segments` there were, unless another thread does. */
  #grow(segments: number, needed: boolean): void {
    const words = this.#header.words;
    const next = SEGMENTS[segments];
    if (next === undefined) {
      if (needed) throw new RangeError("The replay table has no room for more segments");
      return;
    }
    if (Atomics.compareExchange(words, HEADER.growLock, 0, 1) !== 0) {
      if (needed) pause();
      return;
    }
    try {
      if (Atomics.load(words, HEADER.segments) !== segments) return;
      try {
        allocateSpace(this.#fd, next.offset, next.slots * SLOT_BYTES);
      } catch (error) {
        if (needed) throw error;
        return; // there are free slots yet: the thread that finds none will say so
      }
      Atomics.store(words, HEADER.growing, 1);
      while (Atomics.load(words, HEADER.inserters) !== 0) pause();
      Atomics.store(words, HEADER.segments, segments + 1);
      Atomics.store(words, HEADER.growing, 0);
    } finally {
      Atomics.store(words, HEADER.growLock, 0);
    }
  }

  #segment(index: number): Int32Array {
    let mapping = this.#segments[index];
    if (mapping === undefined) {
      const { slots, offset } = SEGMENTS[index]!;
      mapping = mapShared(this.#fd, offset, slots * SLOT_BYTES);
      this.#segments[index] = mapping;
    }
    return mapping.words;
  }
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!;
}
