// The replay cache, as one thread of munged sees it: which credentials were decoded on this host and have not expired yet.
// One table per minute of expiry (table.ts), shared by all threads (minutes.ts), each with a journal (journal.ts) from which
// a successor rebuilds the table.
import { eraseRecord, nextReserve, reserveRecords, syncJournal, writeRecord } from "./journal.ts";
import { journalPath } from "./files.ts";
import {
  ENTRY,
  ERASED,
  findMinute,
  minuteOf,
  openMinute,
  type OpenTable,
  type ReplayState,
  saveFailure,
  tableOf,
  UNSYNCED,
  withLock,
} from "./minutes.ts";
import type { Requester } from "./requester.ts";
import type { Presented } from "./table.ts";

/** A credential that was new. */
export interface Remembered {
  readonly key: Uint8Array;
  readonly expiry: number;
  /** Its record in the journal, or {@linkcode NO_RECORD}. */
  readonly record: number;
}

const NO_RECORD = -1;

/** One thread's view of the replay cache. */
export class ReplayCache {
  readonly #state: ReplayState;
  readonly #words: Int32Array;
  readonly #warn: (text: string) => void;
  readonly #tables = new Map<number, OpenTable>();
  #newest = 0;

  /** @param warn called with problems that keep entries from being written to disk. */
  constructor(state: ReplayState, warn: (text: string) => void = () => {}) {
    this.#state = state;
    this.#words = new Int32Array(state.shared);
    this.#warn = warn;
  }

  /**
   * Remembers a credential unless it is already remembered.
   *
   * @param expiry until when to remember it, seconds since the epoch.
   * @returns for a new credential, the argument for {@linkcode forget} if the answer can't be delivered; of simultaneous
   * calls with the same credential, exactly one gets this.
   * @throws {Error} if there is no memory or descriptor for it; then the credential must not be accepted.
   */
  remember(presented: Presented, expiry: number): Remembered | "retried" | "replayed" {
    const minute = minuteOf(expiry);
    const opened = this.#table(minute);
    const { table } = opened;
    const verdict = table.remember(presented);
    const record = table.hasChanged ? this.#save(opened, minute) : NO_RECORD;
    return verdict === "new" ? { key: presented.key, expiry, record } : verdict;
  }

  /** Forgets a credential whose answer could not be delivered, unless it has been accepted again since. */
  forget({ key, expiry, record }: Remembered): void {
    const minute = minuteOf(expiry);
    if (this.#known(minute) === undefined && findMinute(this.#words, minute) === null) return;
    const { table, entry } = this.#table(minute);
    if (!table.forget(key) || record === NO_RECORD) return;
    const journal = this.#words[entry + ENTRY.journal]!;
    if (journal < 0) return;
    Atomics.add(this.#words, ERASED, 1);
    eraseRecord(journal, record);
  }

  /**
   * From now on, believes retries of a credential that was remembered provisionally, unless it has been presented again
   * since.
   *
   * @param now seconds since the epoch.
   */
  believe({ key, expiry, record }: Remembered, requester: Requester, now: number): void {
    const minute = minuteOf(expiry);
    const { table, entry } = this.#table(minute);
    if (!table.believe(key, requester, now) || record === NO_RECORD) return;
    const journal = this.#words[entry + ENTRY.journal]!;
    if (journal < 0) return;
    try {
      writeRecord(journal, record, table.entryBytes);
    } catch (error) { // a successor will not believe the retry
      this.#warn(saveFailure(journalPath(this.#state.directory!, minute), error));
    }
  }

  /** Appends the entry that has just changed to the journal. Returns the number of its record. */
  #save({ table, entry }: OpenTable, minute: number): number {
    const words = this.#words;
    const journal = words[entry + ENTRY.journal]!;
    if (journal < 0) return NO_RECORD;
    const record = Atomics.add(words, entry + ENTRY.records, 1);
    try {
      const reserved = Atomics.load(words, entry + ENTRY.reserved);
      if (record >= reserved) this.#reserve(entry, journal, reserved);
      writeRecord(journal, record, table.entryBytes);
      if (this.#state.syncsFirst) syncJournal(journal);
      else this.#markUnsynced(entry);
      return record;
    } catch (error) {
      Atomics.add(words, entry + ENTRY.unsaved, 1);
      this.#warn(saveFailure(journalPath(this.#state.directory!, minute), error));
      return NO_RECORD;
    }
  }

  /** Reserves space for more records, unless another thread does. */
  #reserve(entry: number, journal: number, reserved: number): void {
    const next = nextReserve(reserved);
    const at = entry + ENTRY.reserved;
    if (Atomics.compareExchange(this.#words, at, reserved, next) !== reserved) return;
    reserveRecords(journal, reserved, next);
  }

  #markUnsynced(entry: number): void {
    const words = this.#words;
    if (Atomics.load(words, entry + ENTRY.unsynced) === 0) {
      Atomics.store(words, entry + ENTRY.unsynced, 1);
    }
    if (Atomics.load(words, UNSYNCED) === 0 && Atomics.exchange(words, UNSYNCED, 1) === 0) {
      Atomics.notify(words, UNSYNCED);
    }
  }

  /** The table of a minute, created by this or another thread if necessary. */
  #table(minute: number): OpenTable {
    const known = this.#known(minute);
    if (known !== undefined) return known;
    if (this.#tables.has(minute) || minute > this.#newest) this.#forgetDropped(minute);
    const words = this.#words;
    const opened = withLock(words, () => {
      const entry = findMinute(words, minute);
      if (entry === null) return openMinute(this.#state, minute, this.#warn);
      return { table: tableOf(words, entry), entry, serial: words[entry + ENTRY.serial]! };
    });
    this.#tables.set(minute, opened);
    return opened;
  }

  /** The table of a minute, if this thread has opened it and it has not been dropped since. */
  #known(minute: number): OpenTable | undefined {
    const known = this.#tables.get(minute);
    return known !== undefined && this.#isCurrent(known) ? known : undefined;
  }

  #isCurrent({ entry, serial }: OpenTable): boolean {
    return Atomics.load(this.#words, entry + ENTRY.serial) === serial;
  }

  /** Releases dropped tables. */
  #forgetDropped(newest: number): void {
    this.#newest = Math.max(newest, this.#newest);
    for (const [minute, opened] of this.#tables) {
      if (!this.#isCurrent(opened)) this.#tables.delete(minute);
    }
  }
}
