// When tables and journals of minutes that are over are dropped: late enough that no wrong clock, and no --timestamp-drift-max
// of a later munged, makes a credential of theirs valid again. upkeep.ts does it from time to time.
import { rmSync } from "node:fs";
import { journalPath, listJournals } from "./files.ts";
import {
  closeTable,
  DROPPED,
  ENTRY,
  findMinute,
  isEntrySaved,
  openEntries,
  type ReplayState,
  withLock,
} from "./minutes.ts";

/** A table is dropped this many seconds after its last credential expired. */
const GRACE_SECONDS = 60;
/** Journals are kept for as long as any --timestamp-drift-max could make their credentials valid again. */
const MAX_DRIFT_SECONDS = 3600;
/**
 * How long a minute must have been over, in milliseconds of the monotonic clock, before anything that can't be rebuilt is
 * dropped, so that a clock that is set wrong and then corrected does no harm.
 */
const CERTAINTY_MS = 10 * 60_000;

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
