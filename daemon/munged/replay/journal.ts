// A journal: the file from which a successor learns what was decoded, one per minute of expiry. Entries are appended with
// write calls before the client gets its answer, so that they survive the process however it ends. Nothing is mapped, so no
// state of the file can kill munged. files.ts has the paths of journals.
import { fs } from "../../../lib/os/file_system.ts";
import { reserveSpace, syncData, writeAt } from "../../../lib/os/positioned_write.ts";
import { afterReplay, isLive } from "./entry.ts";
import { SLOT_WORDS } from "./segments.ts";
import { newSecret, ReplayTable } from "./table.ts";

const MAGIC = 0x4a50_524d; // "MRPJ"
const VERSION = 1;
/** Words of the header: magic, version, minute, the table's secret, and padding. */
const HEADER_WORDS = 8;
const HEADER_BYTES = HEADER_WORDS * Int32Array.BYTES_PER_ELEMENT;
const SECRET = 3;
const RECORD_BYTES = SLOT_WORDS * Int32Array.BYTES_PER_ELEMENT;
/** Bytes read at once when a journal is adopted; a multiple of a record's length. */
const READ_BYTES = 1 << 20;

/** Space for a new journal: its header and about 4,000 records. */
export const FIRST_BYTES = 65_536;
/** Maximum space reserved at a time. */
const MAX_RESERVED_BYTES = 1 << 20;

const NOTHING = new Uint8Array(RECORD_BYTES);

function offsetOf(record: number): number {
  return HEADER_BYTES + record * RECORD_BYTES;
}

/** Number of records that fit into this many bytes. */
export function recordsIn(bytes: number): number {
  return Math.floor((bytes - HEADER_BYTES) / RECORD_BYTES);
}

/** Makes a new file a journal. @returns the header. @throws {SystemError} */
export function startJournal(fd: number, minute: number, secret: Int32Array): Int32Array {
  const header = new Int32Array(HEADER_WORDS);
  header.set([MAGIC, VERSION, minute, ...secret]);
  writeAt(fd, new Uint8Array(header.buffer), 0);
  return header;
}

/** Writes an entry as record number `record`. @throws {SystemError} if there is no space for it. */
export function writeRecord(fd: number, record: number, entry: Uint8Array): void {
  writeAt(fd, entry, offsetOf(record));
}

/** Erases a record. @throws {SystemError} */
export function eraseRecord(fd: number, record: number): void {
  writeAt(fd, NOTHING, offsetOf(record));
}

/** The record up to which to reserve space next, if space for `reserved` records is already reserved. */
export function nextReserve(reserved: number): number {
  const start = offsetOf(reserved);
  return recordsIn(start + Math.min(Math.max(start, FIRST_BYTES), MAX_RESERVED_BYTES));
}

/** Reserves space for the records from `first` to `end`, if the file system can. */
export function reserveRecords(fd: number, first: number, end: number): void {
  reserveSpace(fd, offsetOf(first), (end - first) * RECORD_BYTES);
}

/** Syncs a journal to disk. @throws {SystemError} if that fails. */
export const syncJournal: (fd: number) => void = syncData;

/** How much of a journal has been read. */
export interface ReadRecords {
  /** Number of its records. */
  readonly records: number;
  /** Number of complete ones before the first that had been erased or not yet been written. */
  readonly complete: number;
}

/** An adopted journal: its table, and its records. */
export interface ReadJournal extends ReadRecords {
  readonly table: ReplayTable;
}

/**
 * The state of the munged that wrote a journal. If it has ended, it may have left answers undelivered, so retries are
 * believed just as it would have believed them. If it is serving, or resting because we are replacing it, it delivers each
 * of its answers or takes back the entry, so that a retry that reaches us belongs to a request that it never read.
 */
export type JournalWriter = "ended" | "serving" | "resting";

/**
 * Rebuilds the table of a journal.
 *
 * @param used as for {@linkcode ReplayTable.create}.
 * @param writer unless it is still serving, an unfinished journal is completed.
 * @returns null for a file that is not a journal of that minute.
 * @throws the system's error if it can't be read, or there is no memory for it.
 */
export function readJournal(
  fd: number,
  minute: number,
  used: number,
  writer: JournalWriter,
): ReadJournal | null {
  const start = new Int32Array(HEADER_WORDS);
  if (fs().readSync(fd, new Uint8Array(start.buffer), 0, HEADER_BYTES, 0) < HEADER_BYTES) {
    return null;
  }
  // Created shortly before a power failure: its name reached the disk, but its header did not.
  const isUnfinished = start.every((word) => word === 0);
  const header = isUnfinished && writer !== "serving"
    ? startJournal(fd, minute, newSecret())
    : start;
  if (header[0] !== MAGIC || header[1] !== VERSION || header[2] !== minute) return null;
  const table = ReplayTable.create(used, header.subarray(SECRET, SECRET + 2));
  const restore = (entry: Int32Array) => {
    if (writer !== "ended") entry[3] = afterReplay(entry[3]!);
    table.restore(entry);
  };
  return { table, ...readRecords(fd, 0, table, restore) };
}

/**
 * Reads what a resting munged has written to a journal since it was last read.
 *
 * @param complete number of records to skip.
 * @param table not in use by any thread. It keeps entries that have been erased since.
 */
export function readAppended(fd: number, complete: number, table: ReplayTable): ReadRecords {
  return readRecords(fd, complete, table, (entry) => {
    entry[3] = afterReplay(entry[3]!);
    table.restoreAgain(entry);
  });
}

function readRecords(
  fd: number,
  start: number,
  table: ReplayTable,
  restore: (entry: Int32Array) => void,
): ReadRecords {
  const count = recordsIn(fs().fstatSync(fd).size);
  const bytes = new Uint8Array(Math.min(READ_BYTES, Math.max(0, count - start) * RECORD_BYTES));
  const words = new Int32Array(bytes.buffer);
  const replayed: Int32Array[] = [];
  let records = start;
  let complete: number | undefined;
  for (let first = start; first < count;) {
    const read = Math.floor(
      fs().readSync(fd, bytes, 0, bytes.length, offsetOf(first)) / RECORD_BYTES,
    );
    if (read === 0) break; // it was truncated
    for (let i = 0; i < read; i++) {
      const entry = words.subarray(i * SLOT_WORDS, (i + 1) * SLOT_WORDS);
      // A writer may be in the middle of it. Words whose final value is 0 are too rare to matter.
      if (entry[0] === 0 || entry[1] === 0 || entry[2] === 0 || entry[3] === 0) {
        complete ??= first + i;
      }
      if (entry[0] === 0 || entry[3] === 0) continue; // never written, erased, or partly written
      records = first + i + 1;
      if (isLive(entry[3]!)) restore(entry);
      else replayed.push(entry.slice());
    }
    first += read;
  }
  for (const entry of replayed) table.restoreReplay(entry);
  return { records, complete: complete ?? records };
}
