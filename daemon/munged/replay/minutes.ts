// The tables of all minutes: which are open, their descriptors, and how they are created. All threads share this part of
// the replay cache; cache.ts is one thread's view.
import { syncDirectory } from "../../../lib/files/directory_sync.ts";
import { fs } from "../../../lib/os/file_system.ts";
import { systemText } from "../../../lib/os/system_text.ts";
import { createJournalFile, journalPath, NotAJournal, openJournalFile } from "./files.ts";
import {
  FIRST_BYTES,
  type JournalWriter,
  type ReadJournal,
  readJournal,
  recordsIn,
} from "./journal.ts";
import { newSecret, ReplayTable } from "./table.ts";

/** Maximum number of open tables: more than the minutes by which a credential's expiry can be ahead or behind. */
const TABLES = 256;
/** Words before the first entry. */
const HEAD = 16;
const LOCK = 0;
/** Whether there are unsynced writes, and whether they include new files. */
export const UNSYNCED = 1;
export const UNSYNCED_NAMES = 2;
/** Number of records that were erased. */
export const ERASED = 3;
/** A cache line, so that threads don't slow each other down. */
const ENTRY_WORDS = 16;
/** Words of an entry. */
export const ENTRY = {
  state: 0,
  minute: 1,
  /** Address of the table, or of the previous one here, as a two-word float. */
  table: 2,
  /** Descriptor of the journal, or -1. */
  journal: 9,
  /** Counts the entry's tables, so that threads release dropped ones. */
  serial: 4,
  /** Number of records in the journal, and for how many there is space. */
  records: 5,
  reserved: 6,
  /** Whether the journal has unsynced records. */
  unsynced: 7,
  /** Number of records that could not be written. */
  unsaved: 8,
  /** Number of records without a gap that had been read when the table was rebuilt from its journal. */
  complete: 10,
} as const;

/** States of an entry: without a table, with one, or with a dropped one that may still be in use. */
export const CLOSED = 0;
export const OPEN = 1;
export const DROPPED = 2;

/** How many milliseconds to wait for a thread that opens or drops a table, in pauses of 1 ms. */
const MAX_LOCK_PAUSES = 3_000;

/** What threads share of a replay cache; can be posted to a worker. */
export interface ReplayState {
  readonly shared: SharedArrayBuffer;
  /** Directory of the journals, or null to keep everything in memory. */
  readonly directory: string | null;
  /** Whether to answer a decode only once it is on disk. */
  readonly syncsFirst: boolean;
}

/** The shared state of an empty cache. */
export function createReplayState(directory: string | null, syncsFirst = false): ReplayState {
  const words = HEAD + TABLES * ENTRY_WORDS;
  const shared = new SharedArrayBuffer(words * Int32Array.BYTES_PER_ELEMENT);
  return { shared, directory, syncsFirst };
}

/** A table and the offset of its entry. */
export interface OpenTable {
  readonly table: ReplayTable;
  readonly entry: number;
  readonly serial: number;
}

/** The minute of a credential's table. */
export function minuteOf(expiry: number): number {
  return Math.floor(expiry / 60);
}

/** Offsets of all entries. */
function* entries(words: Int32Array): Generator<number> {
  for (let entry = HEAD; entry < words.length; entry += ENTRY_WORDS) yield entry;
}

/** Offsets of the entries of open tables. */
export function* openEntries(words: Int32Array): Generator<number> {
  for (const entry of entries(words)) {
    if (Atomics.load(words, entry + ENTRY.state) === OPEN) yield entry;
  }
}

/** States of the lock. It is released from either of the last two. */
const LOCK_STATE = { free: 0, held: 1, abandoned: 2 } as const;

/** Runs code while no other thread opens or drops tables. @throws {Error} if one does so for seconds. */
export function withLock<T>(words: Int32Array, body: () => T): T {
  const { free, held, abandoned } = LOCK_STATE;
  for (let pauses = 0;; pauses++) {
    const found = Atomics.compareExchange(words, LOCK, free, held);
    if (found === free) break;
    if (pauses === MAX_LOCK_PAUSES) Atomics.compareExchange(words, LOCK, held, abandoned);
    if (pauses === MAX_LOCK_PAUSES || found === abandoned) {
      throw new Error("A thread stopped while it changed the replay cache");
    }
    Atomics.wait(words, LOCK, held, 1);
  }
  try {
    return body();
  } finally {
    Atomics.store(words, LOCK, free);
    Atomics.notify(words, LOCK);
  }
}

/** Offset of an open minute's entry, or null. */
export function findMinute(words: Int32Array, minute: number): number | null {
  for (const entry of openEntries(words)) {
    if (words[entry + ENTRY.minute] === minute) return entry;
  }
  return null;
}

/** Offset of a table's address, in floats. */
function addressesOf(words: Int32Array): Float64Array {
  return new Float64Array(words.buffer);
}

/** This thread's view of the table of an open entry. */
export function tableOf(words: Int32Array, entry: number): ReplayTable {
  return ReplayTable.at(addressesOf(words)[(entry + ENTRY.table) / 2]!);
}

/** Whether a table can be rebuilt from its journal. */
export function isEntrySaved(words: Int32Array, entry: number): boolean {
  return words[entry + ENTRY.journal]! >= 0 && words[entry + ENTRY.unsaved] === 0;
}

/** Closes a table that no thread uses any more. */
export function closeTable(words: Int32Array, entry: number): void {
  tableOf(words, entry).clear();
  const journal = words[entry + ENTRY.journal]!;
  if (journal >= 0) fs().closeSync(journal);
  Atomics.store(words, entry + ENTRY.state, CLOSED);
}

/** A table being opened. */
interface Opening extends ReadJournal {
  readonly journal: number;
  readonly reserved: number;
}

/**
 * Creates the table of a minute that is not open: from its journal if there is one, otherwise empty. Call it with the
 * lock held.
 *
 * @param warn called with the reason if the journal can't be created, most likely for lack of space. Replays are still
 * detected until munged stops.
 * @param writer the state of the process that wrote the journals.
 * @throws {NotAJournal} if something else is in the journal's place.
 * @throws {Error} if there is no memory for it, or the journal can't be read; then nothing may be accepted.
 */
export function openMinute(
  state: ReplayState,
  minute: number,
  warn: (text: string) => void,
  writer: JournalWriter = "ended",
): OpenTable {
  const words = new Int32Array(state.shared);
  const entry = freeEntry(words);
  const addresses = addressesOf(words);
  const at = (entry + ENTRY.table) / 2;
  const opening = open(state, minute, addresses[at]!, warn, writer);
  const { table, journal, records, complete, reserved } = opening;
  addresses[at] = table.address;
  words[entry + ENTRY.minute] = minute;
  words[entry + ENTRY.journal] = journal;
  words[entry + ENTRY.records] = records;
  words[entry + ENTRY.complete] = complete;
  words[entry + ENTRY.reserved] = reserved;
  words[entry + ENTRY.unsynced] = 0;
  words[entry + ENTRY.unsaved] = 0;
  if (records === 0 && journal >= 0) Atomics.store(words, UNSYNCED_NAMES, 1);
  Atomics.store(words, entry + ENTRY.state, OPEN);
  return { table, entry, serial: words[entry + ENTRY.serial]! };
}

/** An entry without a table, preferably one with memory to reuse. */
function freeEntry(words: Int32Array): number {
  let free: number | undefined;
  const addresses = addressesOf(words);
  for (const entry of entries(words)) {
    if (Atomics.load(words, entry + ENTRY.state) !== CLOSED) continue;
    if (addresses[(entry + ENTRY.table) / 2] !== 0) return entry;
    free ??= entry;
  }
  if (free === undefined) throw new Error("The replay cache has no room for another minute");
  return free;
}

function open(
  { directory, syncsFirst }: ReplayState,
  minute: number,
  used: number,
  warn: (text: string) => void,
  writer: JournalWriter,
): Opening {
  const found = directory === null ? null : openJournalFile(directory, minute);
  if (found !== null) {
    try {
      const read = readJournal(found, minute, used, writer);
      if (read === null) throw new NotAJournal(journalPath(directory!, minute));
      return { ...read, journal: found, reserved: read.records };
    } catch (error) {
      fs().closeSync(found);
      throw error;
    }
  }
  const secret = newSecret();
  const table = ReplayTable.create(used, secret);
  let journal = -1;
  if (directory !== null) {
    try {
      journal = createJournalFile(directory, minute, secret);
      if (syncsFirst) syncDirectory(directory);
    } catch (error) {
      warn(saveFailure(journalPath(directory, minute), error));
    }
  }
  return { table, journal, records: 0, complete: 0, reserved: recordsIn(FIRST_BYTES) };
}

/** The log message if a journal can't be written. */
export function saveFailure(path: string, error: unknown): string {
  return `Failed to write replay journal "${path}": ${systemText(error)}: ` +
    "credentials decoded from now on will be forgotten when munged restarts";
}
