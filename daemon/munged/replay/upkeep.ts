// Maintenance of the replay cache while munged runs: drops tables and journals of minutes that are over, makes spare files,
// and syncs writes to disk. For one thread only.
import { closeSync, fdatasync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { syncDirectory } from "../../../lib/files/directory_sync.ts";
import { systemText } from "../../../lib/os/system_text.ts";
import { journalPath, listJournals, makeSpares } from "./files.ts";
import {
  CLOSED,
  DROPPED,
  ENTRY,
  findMinute,
  openEntries,
  type ReplayState,
  tableOf,
  UNSYNCED,
  UNSYNCED_NAMES,
  withLock,
} from "./minutes.ts";
import type { Logger } from "../../process/log.ts";

/** A table is dropped this many seconds after its last credential expired. */
const GRACE_SECONDS = 60;
/** Journals are kept for as long as any --timestamp-drift-max could make their credentials valid again. */
const MAX_DRIFT_SECONDS = 3600;
/**
 * How long a minute must have been over, in milliseconds of the monotonic clock, before anything that can't be rebuilt is
 * dropped, so that a clock that is set wrong and then corrected does no harm.
 */
const CERTAINTY_MS = 10 * 60_000;
/** Delay after which munged serves. Work that can wait, such as creating spare files (2 ms), starts only then. */
const START_MS = 100;

/** Whether every credential that expires in this minute did so a while ago. @param now in seconds. */
export function isMinuteExpired(minute: number, now: number): boolean {
  return (minute + 1) * 60 + GRACE_SECONDS < now;
}

/** Milliseconds until {@linkcode isMinuteExpired} says so. @param now in seconds. */
function untilMinuteExpired(minute: number, now: number): number {
  return Math.max(0, (minute + 1) * 60 + GRACE_SECONDS + 1 - now) * 1000;
}

/** Drops tables and journals that are over. */
export class ReplayPurge {
  readonly #state: ReplayState;
  readonly #words: Int32Array;
  /** Since when each minute has been over, on the monotonic clock. */
  readonly #expiredSince = new Map<number, number>();
  /** Entries of dropped tables, which a thread may have been about to use. */
  #dropped: number[] = [];

  constructor(state: ReplayState) {
    this.#state = state;
    this.#words = new Int32Array(state.shared);
  }

  /**
   * Call it some minutes after a decode, and again after the time it returns.
   *
   * @param now seconds since the epoch.
   * @param drift seconds by which clocks may differ.
   * @param uptime milliseconds of the monotonic clock.
   * @returns milliseconds until there is more to drop, if nothing is decoded until then; Infinity if nothing is left.
   */
  purge(now: number, drift: number, uptime: number): number {
    const { directory } = this.#state;
    const words = this.#words;
    const minutes = new Set<number>();
    for (const { minute, isFile } of directory === null ? [] : listJournals(directory)) {
      if (isFile) minutes.add(minute);
    }
    let next = Infinity;
    withLock(words, () => {
      this.#dropped.forEach((entry) => closeTable(words, entry));
      this.#dropped = [];
      for (const entry of openEntries(words)) minutes.add(words[entry + ENTRY.minute]!);
      for (const minute of this.#expiredSince.keys()) {
        if (!minutes.has(minute) || !isMinuteExpired(minute, now - drift)) {
          this.#expiredSince.delete(minute);
        }
      }
      for (const minute of minutes) {
        const wait = isMinuteExpired(minute, now - drift)
          ? this.#drop(minute, now, uptime)
          : untilMinuteExpired(minute, now - drift);
        next = Math.min(next, wait);
      }
    });
    return this.#dropped.length > 0 ? 0 : next;
  }

  /** Drops the rest of a minute that is certainly over. Returns the milliseconds until there is more to drop. */
  #drop(minute: number, now: number, uptime: number): number {
    const since = this.#expiredSince.get(minute) ?? uptime;
    this.#expiredSince.set(minute, since);
    const untilCertain = since + CERTAINTY_MS - uptime;
    const isCertain = untilCertain <= 0;
    const words = this.#words;
    const entry = findMinute(words, minute);
    if (entry !== null) {
      if (!isCertain && !isEntrySaved(words, entry)) return untilCertain;
      Atomics.store(words, entry + ENTRY.state, DROPPED);
      Atomics.add(words, entry + ENTRY.serial, 1);
      this.#dropped.push(entry);
    }
    const { directory } = this.#state;
    if (directory === null) return Infinity;
    if (isCertain && isMinuteExpired(minute, now - MAX_DRIFT_SECONDS)) {
      rmSync(journalPath(directory, minute), { force: true });
      return Infinity;
    }
    return Math.max(untilCertain, untilMinuteExpired(minute, now - MAX_DRIFT_SECONDS));
  }
}

/** Whether a table can be rebuilt from its journal. */
export function isEntrySaved(words: Int32Array, entry: number): boolean {
  return words[entry + ENTRY.journal]! >= 0 && words[entry + ENTRY.unsaved] === 0;
}

/** Closes a table that no thread uses any more. */
export function closeTable(words: Int32Array, entry: number): void {
  tableOf(words, entry).clear();
  const journal = words[entry + ENTRY.journal]!;
  if (journal >= 0) closeSync(journal);
  Atomics.store(words, entry + ENTRY.state, CLOSED);
}

/** Maintenance of a running cache. */
export interface Upkeep {
  /**
   * Drops what has expired, and reserves space. Call it some minutes after a decode, and again after the time it returns.
   *
   * @returns milliseconds until there is more to do; Infinity if there is nothing until the next decode.
   */
  tidy(): number;
  /** Syncs writes to disk now, if possible, so that less is left to do once munged has stopped serving. */
  save(): Promise<void>;
  /** Stops it, after syncing writes to disk if possible. */
  stop(): Promise<void>;
}

/**
 * Maintains a cache that workers use.
 *
 * @param syncMilliseconds maximum time until a decode is on disk.
 * @param drift seconds by which clocks may differ.
 */
export function startUpkeep(
  state: ReplayState,
  { syncMilliseconds, drift }: { readonly syncMilliseconds: number; readonly drift: number },
  log: Pick<Logger, "limited">,
): Upkeep {
  const words = new Int32Array(state.shared);
  const purge = new ReplayPurge(state);
  let isStopped = false;
  const attempt = async (cause: string, what: string, step: () => void | Promise<void>) => {
    try {
      await step();
    } catch (error) {
      log.limited(cause, "warning", `Failed to ${what}: ${systemText(error)}`);
    }
  };
  let hasSpares = false;
  const keepSpares = () =>
    attempt("replay spares", "set space aside for the replay cache", () => {
      hasSpares = false;
      if (state.directory !== null) makeSpares(state.directory);
      hasSpares = true;
    });
  const save = () =>
    attempt("replay sync", "write the replay cache to disk", () => syncJournals(state));
  const firstSpares = setTimeout(keepSpares, START_MS);
  const saveWhenWritten = async () => {
    // Without work there is no timer, so that an idle munged does not wake up.
    const written = Atomics.waitAsync(words, UNSYNCED, 0);
    if (written.async) await written.value;
    await sleep(syncMilliseconds, undefined, { ref: false });
    if (isStopped) return;
    await save();
    keepSpares(); // one may have been used
    saveWhenWritten();
  };
  if (state.directory !== null && !state.syncsFirst) saveWhenWritten();
  return {
    tidy() {
      if (isStopped) return Infinity;
      const now = Math.floor(Date.now() / 1000);
      let next = 0; // try again soon if it fails
      attempt("replay purge", "purge replay cache", () => {
        next = purge.purge(now, drift, performance.now());
      });
      keepSpares();
      return hasSpares ? next : 0;
    },
    save,
    async stop() {
      isStopped = true;
      clearTimeout(firstSpares);
      await save();
    },
  };
}

function sync(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => error === null || error === undefined ? resolve() : reject(error));
  });
}

/** Syncs all writes since its last call to disk. @throws the system's error if that fails. */
async function syncJournals(state: ReplayState): Promise<void> {
  const words = new Int32Array(state.shared);
  Atomics.store(words, UNSYNCED, 0);
  for (const entry of openEntries(words)) {
    if (Atomics.exchange(words, entry + ENTRY.unsynced, 0) === 0) continue;
    await sync(words[entry + ENTRY.journal]!);
  }
  if (Atomics.exchange(words, UNSYNCED_NAMES, 0) !== 0) syncDirectory(state.directory!);
}
