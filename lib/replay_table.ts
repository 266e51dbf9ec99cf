// The credentials that expire within one minute, in a file that all threads of munged map: an
// open-addressing hash table without locks on the way of an insertion, which grows by whole segments.
//
// A slot is four 32-bit words of the credential's MAC. The first word claims a slot by compare-and-swap,
// the last one, stored last and never 0, publishes it. Entries are never moved. While a segment is being
// added nobody inserts, so that two threads never look at different numbers of segments at once.
import { allocateSpace, mapShared, type SharedMapping, unmapShared } from "./os/shared_memory.ts";

const PAGE = 4096;
const SLOT_WORDS = 4;
const SLOT_BYTES = SLOT_WORDS * 4;
const SLOTS_PER_PAGE = PAGE / SLOT_BYTES;
/** Slots of the first segment; each further one adds half of all before it. */
const FIRST_SEGMENT_SLOTS = 1024;
const MAX_SEGMENTS = 48;
/** Share of a segment's slots in use at which the next one is added, and at which it counts as full. */
const GROW_AT = 0.8;
const FULL_AT = 0.95;
/** How long a slot that somebody claimed may stay unpublished before it counts as the same credential. */
const PUBLISH_TIMEOUT_MS = 100;

/** Where the search in a table without an empty slot ends. */
const NOWHERE = -1;

const MAGIC = 0x4d524550; // "MREP"
const VERSION = 1;
/** Words of the header page. */
const HEADER = {
  magic: 0,
  version: 1,
  minute: 2,
  segments: 3,
  inserters: 4,
  growing: 5,
  growLock: 6,
  counts: 16,
} as const;

/** Slots of each segment, and where in the file it begins. */
const SEGMENTS: readonly { readonly slots: number; readonly offset: number }[] = (() => {
  const segments = [];
  let total = 0;
  for (let i = 0; i < MAX_SEGMENTS; i++) {
    const slots = i === 0
      ? FIRST_SEGMENT_SLOTS
      : Math.ceil(total / 2 / SLOTS_PER_PAGE) * SLOTS_PER_PAGE;
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

/** What became of an insertion. */
export type Insertion = "inserted" | "present";

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
    Atomics.store(header.words, HEADER.magic, MAGIC);
    unmapShared(header);
  }

  /**
   * Takes over a table of a process that ended, however it ended.
   *
   * @param size bytes in the file.
   * @returns false if the file is not a whole table of that minute.
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
   * Inserts a key unless it is there: of any number of threads that insert the same one, exactly one
   * gets `"inserted"`.
   *
   * @param key 16 bytes that are as good as random.
   * @throws {SystemError} when the table is full and the system has no space for more.
   */
  insert(key: DataView): Insertion {
    const words = this.#header.words;
    const [w0, w1, w2, w3] = keyWords(key);
    for (;;) {
      const segments = this.#enter();
      let outcome: Insertion | "full";
      try {
        outcome = this.#insertWithin(segments, w0, w1, w2, w3);
      } finally {
        Atomics.sub(words, HEADER.inserters, 1);
      }
      if (outcome === "full") {
        this.#grow(segments, true);
        continue;
      }
      if (outcome === "inserted") {
        const count = Atomics.add(words, HEADER.counts + segments - 1, 1) + 1;
        if (count >= SEGMENTS[segments - 1]!.slots * GROW_AT) this.#grow(segments, false);
      }
      return outcome;
    }
  }

  /** Takes a key back out; its slot is not used again. */
  remove(key: DataView): void {
    const [w0, w1, w2, w3] = keyWords(key);
    const segments = this.#enter();
    try {
      for (let i = 0; i < segments; i++) {
        const slot = this.#probe(i, w0, w1, w2, w3);
        if (slot.found) {
          Atomics.store(this.#segment(i), slot.at + 1, ~w1);
          return;
        }
      }
    } finally {
      Atomics.sub(this.#header.words, HEADER.inserters, 1);
    }
  }

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

  #insertWithin(
    segments: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
  ): Insertion | "full" {
    const last = segments - 1;
    for (let i = 0; i < last; i++) {
      if (this.#probe(i, w0, w1, w2, w3).found) return "present";
    }
    const full = SEGMENTS[last]!.slots * FULL_AT;
    const words = this.#segment(last);
    for (;;) {
      const slot = this.#probe(last, w0, w1, w2, w3);
      if (slot.found) return "present";
      if (slot.at === NOWHERE) return "full";
      if (Atomics.load(this.#header.words, HEADER.counts + last) >= full) return "full";
      if (Atomics.compareExchange(words, slot.at, 0, w0) !== 0) continue; // somebody was faster
      words[slot.at + 1] = w1;
      words[slot.at + 2] = w2;
      Atomics.store(words, slot.at + 3, w3);
      return "inserted";
    }
  }

  /** The slot of a key, or the empty one where the search for it ends. Reused by the next call. */
  readonly #slot = { at: 0, found: false };

  #probe(segment: number, w0: number, w1: number, w2: number, w3: number) {
    const words = this.#segment(segment);
    const end = words.length;
    const start = ((w1 >>> 0) % (end / SLOT_WORDS)) * SLOT_WORDS;
    let at = start;
    for (;;) {
      const first = Atomics.load(words, at);
      if (first === 0) break;
      if (first === w0 && this.#holds(words, at, w1, w2, w3)) return this.#found(at, true);
      at += SLOT_WORDS;
      if (at === end) at = 0;
      if (at === start) return this.#found(NOWHERE, false);
    }
    return this.#found(at, false);
  }

  #found(at: number, found: boolean) {
    this.#slot.at = at;
    this.#slot.found = found;
    return this.#slot;
  }

  /** Whether the claimed slot at `at` holds the key, once its owner has published it. */
  #holds(words: Int32Array, at: number, w1: number, w2: number, w3: number): boolean {
    let last = Atomics.load(words, at + 3);
    if (last === 0) {
      const deadline = performance.now() + PUBLISH_TIMEOUT_MS;
      while ((last = Atomics.load(words, at + 3)) === 0) {
        // Its owner died between claim and publication. Whose credential it was nobody knows any more,
        // and a replay must not pass: it is taken for the one that is asked about.
        if (performance.now() > deadline) return true;
        pause();
      }
    }
    return last === w3 && words[at + 1] === w1 && words[at + 2] === w2;
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

/** A key as the words of a slot, of which the first and the last are never 0. */
function keyWords(key: DataView): [number, number, number, number] {
  return [key.getInt32(0) || 1, key.getInt32(4), key.getInt32(8), key.getInt32(12) || 1];
}
