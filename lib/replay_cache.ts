// The replay cache: which credentials were decoded on this host and have not expired yet, for all threads
// of munged at once. One table a minute of expiry (replay_table.ts); here is which table, who opens it,
// and when it is dropped.
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { openAnonymousFile } from "./os/shared_memory.ts";
import { ReplayTable } from "./replay_table.ts";

/** Tables that can be live at once: more minutes than a credential's expiry can lie ahead. */
const TABLES = 256;
const ENTRY_WORDS = 4;
const STATE = 0;
const MINUTE = 1;
const FD = 2;
/** Counts the tables that the entry has had, so that threads let go of those that were dropped. */
const SERIAL = 3;
const ABSENT = 0;
/** A thread opens or drops the table. */
const CHANGING = 1;
const OPEN = 2;

/** A table is dropped this many seconds after its last credential expired. */
const GRACE_SECONDS = 60;
const FILE_MODE = 0o600;

/** What threads share of a replay cache; can be posted to a worker. */
export interface ReplayState {
  /** Which minute's tables are open, and under which descriptor. */
  readonly tables: SharedArrayBuffer;
  /** Where tables are kept across restarts, or null to keep them in memory. */
  readonly directory: string | null;
}

/** The shared state of a cache that holds nothing yet. */
export function createReplayState(directory: string | null): ReplayState {
  const tables = new SharedArrayBuffer(TABLES * ENTRY_WORDS * Int32Array.BYTES_PER_ELEMENT);
  return { tables, directory };
}

/**
 * Takes over the tables that an earlier process left in the cache's directory. Expired ones are removed;
 * one that is damaged is renamed to `NAME.damaged`. To be called once, before any thread uses the state,
 * and by one process only (the caller holds the directory's lock).
 *
 * @param now seconds since the epoch.
 * @returns names of the damaged files.
 */
export function adoptReplayTables(state: ReplayState, now: number): string[] {
  const { directory } = state;
  if (directory === null) return [];
  const damaged: string[] = [];
  const tables = new Int32Array(state.tables);
  const files = readdirSync(directory, { withFileTypes: true });
  for (const file of files) {
    const { name } = file;
    if (!/^\d{1,9}$/.test(name)) continue;
    const path = join(directory, name);
    const minute = Number(name);
    if (file.isFile() && isOver(minute, now)) {
      unlinkSync(path);
      continue;
    }
    const entry = (minute % TABLES) * ENTRY_WORDS;
    const fd = tables[entry + STATE] === OPEN ? null : adoptTable(path, minute);
    if (fd === null) {
      rmSync(`${path}.damaged`, { recursive: true, force: true });
      renameSync(path, `${path}.damaged`);
      damaged.push(name);
      continue;
    }
    tables[entry + MINUTE] = minute;
    tables[entry + FD] = fd;
    tables[entry + STATE] = OPEN;
  }
  return damaged;
}

/** Descriptor of a table file, or null if it is not one. */
function adoptTable(path: string, minute: number): number | null {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  const stat = fstatSync(fd);
  if (
    stat.isFile() && stat.uid === process.geteuid?.() && (stat.mode & 0o077) === 0 &&
    holdsTable(fd, minute, stat.size)
  ) return fd;
  closeSync(fd);
  return null;
}

function holdsTable(fd: number, minute: number, size: number): boolean {
  try {
    return ReplayTable.adopt(fd, minute, size);
  } catch {
    return false; // no space for its holes
  }
}

/**
 * Drops the tables of minutes that are over. For one thread only.
 *
 * @param now seconds since the epoch.
 */
export function purgeReplayTables(state: ReplayState, now: number): void {
  const tables = new Int32Array(state.tables);
  for (let entry = 0; entry < tables.length; entry += ENTRY_WORDS) {
    if (Atomics.load(tables, entry + STATE) !== OPEN) continue;
    const minute = tables[entry + MINUTE]!;
    if (isOver(minute, now)) dropTable(state, tables, minute);
  }
}

/** Drops a minute's table, unless another thread does. */
function dropTable(state: ReplayState, tables: Int32Array, minute: number): void {
  const entry = (minute % TABLES) * ENTRY_WORDS;
  if (Atomics.compareExchange(tables, entry + STATE, OPEN, CHANGING) !== OPEN) return;
  let next = OPEN;
  try {
    if (tables[entry + MINUTE] !== minute) return;
    next = ABSENT;
    Atomics.add(tables, entry + SERIAL, 1);
    closeSync(tables[entry + FD]!);
    if (state.directory !== null) rmSync(join(state.directory, String(minute)), { force: true });
  } finally {
    Atomics.store(tables, entry + STATE, next);
    Atomics.notify(tables, entry + STATE);
  }
}

/** Whether every credential that expires in this minute has done so a while ago. */
function isOver(minute: number, now: number): boolean {
  return (minute + 1) * 60 + GRACE_SECONDS < now;
}

/** Live entries and the memory they take, over all tables. */
export function replayUsage(state: ReplayState): { entries: number; bytes: number } {
  const tables = new Int32Array(state.tables);
  const sum = { entries: 0, bytes: 0 };
  for (let entry = 0; entry < tables.length; entry += ENTRY_WORDS) {
    if (Atomics.load(tables, entry + STATE) !== OPEN) continue;
    const table = ReplayTable.open(tables[entry + FD]!);
    const { entries, bytes } = table.usage();
    table.close();
    sum.entries += entries;
    sum.bytes += bytes;
  }
  return sum;
}

/** One thread's way into the replay cache. */
export class ReplayCache {
  readonly #state: ReplayState;
  readonly #shared: Int32Array;
  readonly #tables = new Map<number, { readonly table: ReplayTable; readonly serial: number }>();
  #newest = 0;

  constructor(state: ReplayState) {
    this.#state = state;
    this.#shared = new Int32Array(state.tables);
  }

  /**
   * Remembers a credential unless it is remembered already.
   *
   * @param key the 16 bytes that name it.
   * @param expiry seconds since the epoch until which it must be remembered.
   * @returns true if it was new; of simultaneous calls with one key exactly one gets true.
   * @throws {Error} when there is no space or descriptor for it: then it must not be accepted.
   */
  insert(key: Uint8Array, expiry: number): boolean {
    return this.#table(expiry).insert(key) === "inserted";
  }

  /** Forgets a credential whose answer could not be delivered. */
  remove(key: Uint8Array, expiry: number): void {
    this.#table(expiry).remove(key);
  }

  #table(expiry: number): ReplayTable {
    const minute = Math.floor(expiry / 60);
    const known = this.#tables.get(minute);
    if (known !== undefined && known.serial === this.#serial(minute)) return known.table;
    if (known !== undefined || minute > this.#newest) this.#letGo(minute);
    const fd = this.#open(minute);
    const serial = this.#serial(minute);
    const table = ReplayTable.open(fd);
    this.#tables.set(minute, { table, serial });
    return table;
  }

  #serial(minute: number): number {
    return Atomics.load(this.#shared, (minute % TABLES) * ENTRY_WORDS + SERIAL);
  }

  /** Unmaps the tables that were dropped. */
  #letGo(newest: number): void {
    this.#newest = newest;
    for (const [minute, { table, serial }] of this.#tables) {
      if (serial === this.#serial(minute)) continue;
      table.close();
      this.#tables.delete(minute);
    }
  }

  /** Descriptor of a minute's table, which this thread or another one makes if need be. */
  #open(minute: number): number {
    const shared = this.#shared;
    const entry = (minute % TABLES) * ENTRY_WORDS;
    for (;;) {
      const state = Atomics.compareExchange(shared, entry + STATE, ABSENT, CHANGING);
      if (state === OPEN) {
        const present = shared[entry + MINUTE]!;
        if (present === minute) return shared[entry + FD]!;
        dropTable(this.#state, shared, present); // it is of a time when the clock was far off
        continue;
      }
      if (state === ABSENT) break;
      Atomics.wait(shared, entry + STATE, CHANGING, 1);
    }
    let next = ABSENT;
    try {
      const fd = this.#create(minute);
      shared[entry + MINUTE] = minute;
      shared[entry + FD] = fd;
      next = OPEN;
      return fd;
    } finally {
      Atomics.store(shared, entry + STATE, next);
      Atomics.notify(shared, entry + STATE);
    }
  }

  #create(minute: number): number {
    const { directory } = this.#state;
    const { O_RDWR, O_CREAT, O_EXCL } = constants;
    const path = directory === null ? null : join(directory, String(minute));
    const fd = path === null
      ? openAnonymousFile(`munged-replay-${minute}`)
      : openSync(path, O_RDWR | O_CREAT | O_EXCL, FILE_MODE);
    try {
      ReplayTable.format(fd, minute);
      return fd;
    } catch (error) {
      closeSync(fd);
      if (path !== null) unlinkSync(path);
      throw error;
    }
  }
}
