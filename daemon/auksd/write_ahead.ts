// The journal in CacheDir, which makes a ticket durable before its user is told that it is stored: one write and one flush
// for all tickets that arrived together, whereas each ticket's own file would need two flushes. Those files are written
// without flushing; what a system crash takes from them is restored from the journal at the next start.
import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { syncDirectory } from "../../lib/files/directory_sync.ts";
import { syncFileSystem } from "../../lib/os/file_sync.ts";
import { fileName } from "./cache_file.ts";

/** The original's auksd reads no file of this name. */
const NAME = ".auksd.journal";
const MODE = 0o600;
/** Written in full when the file is created, so that later flushes write data only, no metadata. */
const SIZE = 2 * 2 ** 20;
/** Bytes per write when the file is created. Linux would cache 2 MiB in one piece, and scan all of it in each flush. */
const PAGE = 4096;
const MARK = 0x6175_6b6a; // "aukj"
// Record: mark, uid, kind, length of the content (u32 each), content, SHA-256 of all before it.
const HEADER = 16;
const DIGEST = 32;
const KINDS = { write: 1, remove: 2 } as const;
/** A user's file that changed this long after the last record has been written by another auksd since. */
const FOREIGN_MS = 5_000;
/** The first sector, which a disk writes as a whole: once it is all zeros, everything after it is void. */
const SECTOR = 512;

/** The pending change to a user's file: new content, or removal. */
export interface FileChange {
  readonly uid: number;
  readonly bytes?: Uint8Array;
}

/** Thrown if the changes don't fit. */
class TooMuch extends Error {}

/** The file, open for appending; one thread uses it. */
export class WriteAhead {
  readonly #directory: string;
  readonly #fd: number;
  #used = 0;

  /** Creates the file, empty. @throws {Error} the system's error. */
  constructor(directory: string) {
    this.#directory = directory;
    const { O_RDWR, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
    this.#fd = openSync(join(directory, NAME), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, MODE);
    try {
      for (let at = 0; at < SIZE; at += PAGE) writeAll(this.#fd, new Uint8Array(PAGE), at);
      fsyncSync(this.#fd);
      syncDirectory(directory);
    } catch (error) {
      closeSync(this.#fd); // on a full disk, each ADD gets here
      throw error;
    }
  }

  /**
   * Writes changes to the journal and flushes it before it returns. The caller changes the files after that.
   *
   * @throws {Error} the system's error, or if the changes don't fit.
   */
  append(changes: readonly FileChange[]): void {
    if (fstatSync(this.#fd).nlink === 0) throw new Error("CacheDir has been removed");
    let length = 0;
    for (const { bytes } of changes) length += HEADER + (bytes?.length ?? 0) + DIGEST;
    if (length > SIZE) throw new TooMuch(`${length} bytes at once`);
    if (this.#used + length > SIZE) this.checkpoint();
    const records = new Uint8Array(length);
    let at = 0;
    for (const change of changes) at = putRecord(records, at, change);
    writeAll(this.#fd, records, this.#used);
    records.fill(0);
    fdatasyncSync(this.#fd);
    this.#used += length;
  }

  /** Flushes the files themselves to disk, and forgets the changes. @throws {Error} the system's error. */
  checkpoint(): void {
    if (this.#used === 0) return;
    const directory = openSync(this.#directory, constants.O_RDONLY);
    try {
      syncFileSystem(directory);
    } finally {
      closeSync(directory);
    }
    // The beginning first: without it the rest is void, so the order in which the disk writes that does not matter.
    writeAll(this.#fd, new Uint8Array(SECTOR), 0);
    fdatasyncSync(this.#fd);
    writeAll(this.#fd, new Uint8Array(this.#used), 0);
    fdatasyncSync(this.#fd);
    this.#used = 0;
  }

  /** Closes and removes the file, as no change is left to restore. @throws {Error} the system's error. */
  close(): void {
    this.checkpoint();
    closeSync(this.#fd);
    unlinkSync(join(this.#directory, NAME));
  }
}

/**
 * The changes that an earlier auksd had in its journal but perhaps not in the files, except those to files that another
 * auksd has written since.
 *
 * @throws {Error} the system's error.
 */
export function readWriteAhead(directory: string): FileChange[] {
  const path = join(directory, NAME);
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return [];
  const bytes = new Uint8Array(readFileSync(path));
  const changes: FileChange[] = [];
  for (let at = 0;;) {
    const record = recordAt(bytes, at);
    if (record === undefined) break;
    changes.push(record.change);
    at = record.end;
  }
  bytes.fill(0);
  return changes.filter(({ uid }) => {
    const file = statSync(join(directory, fileName(uid)), { throwIfNoEntry: false });
    return file === undefined || file.mtimeMs <= stats.mtimeMs + FOREIGN_MS;
  });
}

/** Removes the file of an earlier auksd. */
export function removeWriteAhead(directory: string): void {
  const path = join(directory, NAME);
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) unlinkSync(path);
}

function putRecord(records: Uint8Array, start: number, { uid, bytes }: FileChange): number {
  const content = bytes ?? new Uint8Array(0);
  const view = new DataView(records.buffer, start);
  view.setUint32(0, MARK);
  view.setUint32(4, uid);
  view.setUint32(8, bytes === undefined ? KINDS.remove : KINDS.write);
  view.setUint32(12, content.length);
  records.set(content, start + HEADER);
  const end = start + HEADER + content.length;
  records.set(createHash("sha256").update(records.subarray(start, end)).digest(), end);
  return end + DIGEST;
}

/** The record at an offset, if there is a complete one. */
function recordAt(bytes: Uint8Array, at: number): { change: FileChange; end: number } | undefined {
  if (at + HEADER + DIGEST > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, at);
  const kind = view.getUint32(8);
  const end = at + HEADER + view.getUint32(12);
  if (view.getUint32(0) !== MARK || end + DIGEST > bytes.length) return undefined;
  const digest = createHash("sha256").update(bytes.subarray(at, end)).digest();
  if (!digest.equals(bytes.subarray(end, end + DIGEST))) return undefined;
  const uid = view.getUint32(4);
  if (kind === KINDS.remove) return { change: { uid }, end: end + DIGEST };
  return { change: { uid, bytes: bytes.slice(at + HEADER, end) }, end: end + DIGEST };
}

function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length;) {
    at += writeSync(fd, bytes, at, bytes.length - at, position + at);
  }
}
