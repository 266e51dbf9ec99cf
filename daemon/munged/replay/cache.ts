// The replay cache: which credentials were decoded on this host and have not expired yet, for all threads
// of munged at once. One table a minute of expiry (daemon/munged/replay/table.ts); here is which table, who opens it,
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
import { lastDescriptors } from "../../../lib/os/process.ts";
import { openAnonymousFile } from "../../../lib/os/shared_memory.ts";
import { systemText } from "../../../lib/os/system_text.ts";
import { type Presented, ReplayTable } from "./table.ts";

/** Tables that can be live at once: more minutes than a credential's expiry can lie ahead. */
const TABLES = 256;
const ENTRY_WORDS = 4;
const STATE = 0;
const MINUTE = 1;
const FD = 2;
/** Counts the tables that the entry has had, so that threads let go of those that were dropped. */
const SERIAL = 3;
const ABSENT = 0;
/** A thread opens, drops or measures the table. */
const CHANGING = 1;
const OPEN = 2;

/** A table is dropped this many seconds after its last credential expired. */
const GRACE_SECONDS = 60;
const FILE_MODE = 0o600;
/** Descriptors that tables leave to clients, and to what has to be opened for a moment. */
const SPARE_DESCRIPTORS = 10;

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

/** A file in the cache's directory that could not be taken over. */
export interface LostTable {
  readonly name: string;
  /** Why it can't be used: credentials of its minute are refused until it can. Null for what is no table. */
  readonly reason: string | null;
}

/**
 * Takes over the tables that an earlier process left in the cache's directory. Expired ones are removed;
 * what is no table, or damaged, is renamed to `NAME.damaged`. A table that there is no space, memory or
 * descriptor for stays where it is, and nothing is inserted in its minute until there is. To be called once,
 * before any thread uses the state, and by one process only (the caller holds the directory's lock).
 *
 * @param now seconds since the epoch.
 */
export function adoptReplayTables(state: ReplayState, now: number): LostTable[] {
  const { directory } = state;
  if (directory === null) return [];
  const lost: LostTable[] = [];
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
    const entry = entryOf(minute);
    try {
      const fd = tables[entry + STATE] === OPEN || !file.isFile() ? null : adoptTable(path, minute);
      if (fd === null) {
        rmSync(`${path}.damaged`, { recursive: true, force: true });
        renameSync(path, `${path}.damaged`);
        lost.push({ name, reason: null });
        continue;
      }
      tables[entry + MINUTE] = minute;
      tables[entry + FD] = fd;
      tables[entry + STATE] = OPEN;
    } catch (error) {
      lost.push({ name, reason: systemText(error) });
    }
  }
  return lost;
}

/** Descriptor of a table file, or null if it is not one. @throws the system's error. */
function adoptTable(path: string, minute: number): number | null {
  const fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  let adopted = false;
  try {
    const { uid, mode, size } = fstatSync(requireSpare(fd));
    adopted = uid === process.geteuid?.() && (mode & 0o077) === 0 &&
      ReplayTable.adopt(fd, minute, size);
    return adopted ? fd : null;
  } finally {
    if (!adopted) closeSync(fd);
  }
}

/** A descriptor that is not one of the last: without those no thread could be started any more. */
function requireSpare(fd: number): number {
  return fd < lastDescriptors(SPARE_DESCRIPTORS) ? fd : fail("Too many open files");
}

/** The minute whose table has the credentials that expire then. */
function minuteOf(expiry: number): number {
  return Math.floor(expiry / 60);
}

/** Where the words of a minute's table begin. */
function entryOf(minute: number): number {
  return (minute % TABLES) * ENTRY_WORDS;
}

/** Keeps other threads from opening or dropping the table; returns the state to {@linkcode unlock} it with. */
function lock(tables: Int32Array, entry: number): number {
  for (;;) {
    const state = Atomics.exchange(tables, entry + STATE, CHANGING);
    if (state !== CHANGING) return state;
    Atomics.wait(tables, entry + STATE, CHANGING, 1);
  }
}

function unlock(tables: Int32Array, entry: number, state: number): void {
  Atomics.store(tables, entry + STATE, state);
  Atomics.notify(tables, entry + STATE);
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

/** Drops a minute's table, if it is open. */
function dropTable(state: ReplayState, tables: Int32Array, minute: number): void {
  const entry = entryOf(minute);
  let next = lock(tables, entry);
  try {
    if (next !== OPEN || tables[entry + MINUTE] !== minute) return;
    next = ABSENT;
    dropLocked(state, tables, entry);
  } finally {
    unlock(tables, entry, next);
  }
}

/** Drops the open table of an entry that this thread has locked. */
function dropLocked({ directory }: ReplayState, tables: Int32Array, entry: number): void {
  Atomics.add(tables, entry + SERIAL, 1);
  closeSync(tables[entry + FD]!);
  if (directory !== null) rmSync(join(directory, String(tables[entry + MINUTE])), { force: true });
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
    if (Atomics.load(tables, entry + STATE) === ABSENT) continue;
    const present = lock(tables, entry);
    try {
      if (present !== OPEN) continue;
      const table = ReplayTable.open(tables[entry + FD]!);
      const { entries, bytes } = table.usage();
      table.close();
      sum.entries += entries;
      sum.bytes += bytes;
    } finally {
      unlock(tables, entry, present);
    }
  }
  return sum;
}

/** A credential that was new. */
export interface Remembered {
  readonly key: Uint8Array;
  readonly expiry: number;
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
   * @param expiry seconds since the epoch until which it must be remembered.
   * @returns what to {@linkcode forget} if the answer can't be delivered, for one that is new; of simultaneous
   * calls with one credential exactly one gets that.
   * @throws {Error} when there is no space or descriptor for it: then it must not be accepted.
   */
  remember(presented: Presented, expiry: number): Remembered | "retried" | "replayed" {
    const verdict = this.#table(minuteOf(expiry)).remember(presented);
    return verdict === "new" ? { key: presented.key, expiry } : verdict;
  }

  /** Forgets a credential whose answer could not be delivered, unless it was accepted once more since. */
  forget({ key, expiry }: Remembered): void {
    const minute = minuteOf(expiry);
    if (this.#known(minute) !== undefined || this.#isOpen(minute)) this.#table(minute).forget(key);
  }

  /** The table of a minute, which this thread or another one makes if need be. */
  #table(minute: number): ReplayTable {
    const known = this.#known(minute);
    if (known !== undefined) return known;
    if (this.#tables.has(minute) || minute > this.#newest) this.#letGo(minute);
    const shared = this.#shared;
    const entry = entryOf(minute);
    let next = lock(shared, entry);
    try {
      if (next === OPEN && shared[entry + MINUTE] !== minute) {
        next = ABSENT;
        dropLocked(this.#state, shared, entry); // it is of a time when the clock was far off
      }
      if (next === ABSENT) {
        shared[entry + FD] = this.#create(minute);
        shared[entry + MINUTE] = minute;
        next = OPEN;
      }
      const table = ReplayTable.open(shared[entry + FD]!);
      this.#tables.set(minute, { table, serial: this.#serial(minute) });
      return table;
    } finally {
      unlock(shared, entry, next);
    }
  }

  /** The table of a minute, if this thread has opened it and nobody has dropped it since. */
  #known(minute: number): ReplayTable | undefined {
    const known = this.#tables.get(minute);
    return known?.serial === this.#serial(minute) ? known.table : undefined;
  }

  /** Whether some thread has opened the table of a minute. */
  #isOpen(minute: number): boolean {
    const entry = entryOf(minute);
    return Atomics.load(this.#shared, entry + STATE) !== ABSENT &&
      this.#shared[entry + MINUTE] === minute;
  }

  #serial(minute: number): number {
    return Atomics.load(this.#shared, entryOf(minute) + SERIAL);
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

  /** Descriptor of a new table, or of one that could not be taken over when munged started. */
  #create(minute: number): number {
    const { directory } = this.#state;
    if (directory === null) {
      return formatted(openAnonymousFile(`munged-replay-${minute}`), minute);
    }
    const path = join(directory, String(minute));
    const { O_RDWR, O_CREAT, O_EXCL } = constants;
    let fd: number;
    try {
      fd = openSync(path, O_RDWR | O_CREAT | O_EXCL, FILE_MODE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      return adoptTable(path, minute) ?? fail(`"${path}" is no replay table`);
    }
    try {
      return formatted(fd, minute);
    } catch (error) {
      unlinkSync(path);
      throw error;
    }
  }
}

/** Makes a table of a new, empty file; closes it if that fails. */
function formatted(fd: number, minute: number): number {
  try {
    ReplayTable.format(requireSpare(fd), minute);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function fail(text: string): never {
  throw new Error(text);
}
