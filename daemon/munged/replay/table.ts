// The credentials that expire within one minute, in memory shared by all threads of munged: an open-addressing hash table
// with lock-free insertion, which grows by whole segments (segments.ts).
//
// A slot consists of three 32-bit words of the credential's MAC and one with the entry's state (entry.ts). The first word
// claims a slot by compare-and-swap; the last one, stored last and never 0, publishes it. Entries never move. If a thread
// stops in the middle of a change, only the credentials of its minute are refused.
import { clearMemory, mapMemory, memoryAt } from "../../../lib/os/anonymous_memory.ts";
import {
  afterLoss,
  afterReplay,
  afterRetry,
  isForgotten,
  isUnclaimed,
  liveEntry,
} from "./entry.ts";
import { NO_TAG, type Requester, requesterTag } from "./requester.ts";
import { GROWTH, Growth } from "./growth.ts";
import { KeySearch, NO_SLOT } from "./search.ts";
import { FULL_AT, GROW_AT, MAX_SEGMENTS, PAGE, SEGMENTS, SLOT_WORDS } from "./segments.ts";

/** Words of the header page, after those of {@linkcode GROWTH}. */
const HEADER = {
  segments: GROWTH.segments,
  /** Two words: the secret for requesters' tags. */
  secret: 6,
  /** Entries in each segment. */
  counts: 16,
  /** Address of each segment that has or had memory, as a two-word float. */
  addresses: 16 + MAX_SEGMENTS,
} as const;

/** The status of a presented credential: new, retried after a lost answer, or a replay. */
export type Verdict = "new" | "retried" | "replayed";

/** A presented credential. */
export interface Presented {
  /** Its identity: pseudo-random bytes, of which {@linkcode KEY_LENGTH} count. */
  readonly key: Uint8Array;
  readonly requester: Requester;
  /** Whether the client indicates a retry. */
  readonly isRetry: boolean;
  /** Whether its decode may still be refused; until {@linkcode ReplayTable.believe}, no retry is believed. */
  readonly isProvisional?: boolean;
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
  readonly #growth: Growth;
  readonly #search = new KeySearch();
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
    this.#growth = new Growth(this.#header, (segment) => this.#requireMemory(segment));
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
    this.#search.setKey(presented.key);
    this.#presented = presented;
    this.#tag = requesterTag(
      presented.requester,
      words[HEADER.secret]!,
      words[HEADER.secret + 1]!,
    );
    this.#newTag = presented.isProvisional === true ? NO_TAG : this.#tag;
    for (;;) {
      const segments = this.#growth.enter();
      let outcome: Verdict | "inserted" | "full";
      try {
        outcome = this.#rememberWithin(segments);
      } finally {
        this.#growth.leave();
      }
      if (outcome === "full") {
        this.#growth.grow(segments, true);
        continue;
      }
      if (outcome !== "inserted") return outcome;
      if (this.#countEntry(segments)) this.#growth.grow(segments, false);
      return "new";
    }
  }

  /** Counts an entry in the last segment. Returns whether it is time for another one. */
  #countEntry(segments: number): boolean {
    const count = Atomics.add(this.#header, HEADER.counts + segments - 1, 1) + 1;
    return count >= SEGMENTS[segments - 1]!.slots * GROW_AT;
  }

  /**
   * Makes a credential whose answer was not delivered new again, unless it has been accepted again since.
   *
   * @returns whether it is new now.
   */
  forget(key: Uint8Array): boolean {
    return this.#change(key, afterLoss) !== null;
  }

  /** Changes the state of a credential's entry. Returns the new state, or null if nothing changes or there is no entry. */
  #change(key: Uint8Array, nextOf: (word: number) => number): number | null {
    this.#search.setKey(key);
    const segments = this.#growth.enter();
    try {
      for (let i = 0; i < segments; i++) {
        const words = this.#segment(i);
        if (!this.#search.find(words)) continue;
        const at = this.#search.at + 3;
        for (let word = Atomics.load(words, at);;) {
          const next = nextOf(word);
          const found = Atomics.compareExchange(words, at, word, next);
          if (found === word) {
            if (next === word) return null;
            this.#changed(next);
            return next;
          }
          word = found;
        }
      }
      return null;
    } finally {
      this.#growth.leave();
    }
  }

  /**
   * From now on, believes retries of a credential that was remembered provisionally, unless it has been presented again
   * since.
   *
   * @returns whether that changed its entry.
   */
  believe(key: Uint8Array, requester: Requester, now: number): boolean {
    const header = this.#header;
    const secret = header[HEADER.secret]!;
    const next = liveEntry(requesterTag(requester, secret, header[HEADER.secret + 1]!), now);
    return this.#change(key, (word) => isUnclaimed(word) ? next : word) !== null;
  }

  /** Inserts an entry of an earlier process, before any other thread has access to this table. */
  restore(entry: Int32Array): void {
    this.#search.setEntry(entry);
    const header = this.#header;
    const segments = header[HEADER.segments]!;
    const words = this.#segment(segments - 1);
    for (
      let at = this.#search.start(words);;
      at = at + SLOT_WORDS === words.length ? 0 : at + SLOT_WORDS
    ) {
      if (words[at] !== 0) continue;
      words.set(entry, at);
      break;
    }
    if (this.#countEntry(segments)) this.#growth.grow(segments, true);
  }

  /** Inserts an entry of an earlier process, or updates it if it is already there. */
  restoreAgain(entry: Int32Array): void {
    const words = this.#wordsWith(entry);
    if (words === undefined) this.restore(entry);
    else words[this.#search.at + 3] = entry[3]!;
  }

  /** Stops believing retries for an entry of an earlier process. */
  restoreReplay(entry: Int32Array): void {
    const words = this.#wordsWith(entry);
    if (words === undefined) this.restore(entry);
    else words[this.#search.at + 3] = afterReplay(words[this.#search.at + 3]!);
  }

  /** The segment that has an entry's key, which the search then points to; undefined if there is none. */
  #wordsWith(entry: Int32Array): Int32Array | undefined {
    this.#search.setEntry(entry);
    const segments = this.#header[HEADER.segments]!;
    for (let i = 0; i < segments; i++) {
      const words = this.#segment(i);
      if (this.#search.find(words)) return words;
    }
    return undefined;
  }

  #presented: Presented | undefined;
  #tag = NO_TAG;
  /** The tag of a new entry. */
  #newTag = NO_TAG;

  #rememberWithin(segments: number): Verdict | "inserted" | "full" {
    const last = segments - 1;
    for (let i = 0; i < last; i++) {
      const words = this.#segment(i);
      if (this.#search.find(words)) return this.#presentAgain(words);
    }
    const full = SEGMENTS[last]!.slots * FULL_AT;
    const words = this.#segment(last);
    for (;;) {
      if (this.#search.find(words)) return this.#presentAgain(words);
      const at = this.#search.at;
      if (at === NO_SLOT) return "full";
      if (Atomics.load(this.#header, HEADER.counts + last) >= full) return "full";
      if (Atomics.compareExchange(words, at, 0, this.#search.w0) !== 0) continue; // another thread was faster
      words[at + 1] = this.#search.w1;
      words[at + 2] = this.#search.w2;
      const state = liveEntry(this.#newTag, this.#presented!.now);
      Atomics.store(words, at + 3, state);
      this.#changed(state);
      return "inserted";
    }
  }

  #changed(state: number): void {
    const { entry } = this;
    entry[0] = this.#search.w0;
    entry[1] = this.#search.w1;
    entry[2] = this.#search.w2;
    entry[3] = state;
    this.hasChanged = true;
  }

  /** The result of presenting a credential whose entry was found. */
  #presentAgain(words: Int32Array): Verdict {
    this.hasChanged = false;
    const at = this.#search.at + 3;
    const { isRetry, now } = this.#presented!;
    for (let word = Atomics.load(words, at);;) {
      if (word === 0) return "replayed"; // its credential is unknown, see search.ts
      let verdict: Verdict = "replayed";
      let next = isRetry ? afterRetry(word, this.#tag, now) : null;
      if (isForgotten(word)) {
        verdict = "new";
        next = liveEntry(this.#newTag, now);
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

  #segment(index: number): Int32Array {
    return this.#segments[index] ??= memoryAt(this.#addresses[index]!, lengthOf(index));
  }
}

function lengthOf(segment: number): number {
  const { offset, end } = SEGMENTS[segment]!;
  return end - offset;
}
