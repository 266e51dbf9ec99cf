// Takes over the journals that a starting munged finds in the replay cache's directory.
import { renameSync, rmSync } from "node:fs";
import { systemText } from "../../../lib/os/system_text.ts";
import { journalPath, listJournals, NotAJournal } from "./files.ts";
import { type JournalWriter, readAppended } from "./journal.ts";
import {
  closeTable,
  ENTRY,
  ERASED,
  findMinute,
  isEntrySaved,
  openEntries,
  openMinute,
  type ReplayState,
  tableOf,
  withLock,
} from "./minutes.ts";
import { isMinuteExpired } from "./purge.ts";

/** A file in the cache's directory that could not be adopted. */
export interface LostJournal {
  readonly name: string;
  /** Why it can't be used; until it can, credentials of its minute are refused. Null if it is not a journal. */
  readonly reason: string | null;
}

/**
 * Rebuilds the tables of an earlier process from its journals in the cache's directory. Journals of minutes that are over
 * stay on disk until the clock is known to be right. A file that is not a journal is renamed to `NAME.damaged`. A journal for
 * which there is no memory or descriptor stays in place, and nothing is accepted in its minute until there is. Call it once,
 * before any thread uses the state, and in only one process (the caller holds the directory's lock).
 *
 * @param now seconds since the epoch.
 */
export function takeOverJournals(
  state: ReplayState,
  now: number,
  writer: JournalWriter = "ended",
): LostJournal[] {
  const { directory } = state;
  if (directory === null) return [];
  const lost: LostJournal[] = [];
  const words = new Int32Array(state.shared);
  for (const { minute, isFile } of listJournals(directory)) {
    if (isFile && isMinuteExpired(minute, now) || findMinute(words, minute) !== null) continue;
    const name = String(minute);
    try {
      withLock(words, () => openMinute(state, minute, () => {}, writer));
    } catch (error) {
      if (error instanceof NotAJournal) setAside(journalPath(directory, minute));
      lost.push({ name, reason: error instanceof NotAJournal ? null : systemText(error) });
    }
  }
  return lost;
}

/**
 * Rebuilds tables from the journals of a munged that is still serving, so that less is left to do once it has stopped. This
 * changes nothing on disk, and leaves anything it can't read to {@linkcode takeOverRest}.
 *
 * @param now seconds since the epoch.
 */
export function previewJournals(state: ReplayState, now: number): void {
  const words = new Int32Array(state.shared);
  for (const { minute, isFile } of listJournals(state.directory!)) {
    if (!isFile || isMinuteExpired(minute, now)) continue;
    try {
      withLock(words, () => openMinute(state, minute, () => {}, "serving"));
    } catch {
      // It may be just being created.
    }
  }
}

/**
 * Adds what a munged that has now stopped serving has written since the preview. Otherwise like
 * {@linkcode takeOverJournals}.
 *
 * @param hasErased whether it may have erased records since, so that everything must be read again.
 */
export function takeOverRest(state: ReplayState, now: number, hasErased: boolean): LostJournal[] {
  if (hasErased) dropTables(state);
  const words = new Int32Array(state.shared);
  withLock(words, () => {
    for (const entry of openEntries(words)) {
      const journal = words[entry + ENTRY.journal]!;
      const read = readAppended(journal, words[entry + ENTRY.complete]!, tableOf(words, entry));
      words[entry + ENTRY.records] = Math.max(read.records, words[entry + ENTRY.records]!);
      words[entry + ENTRY.reserved] = words[entry + ENTRY.records]!;
    }
  });
  return takeOverJournals(state, now, "resting");
}

/** How many records have been erased. */
export function erasedRecords(state: ReplayState): number {
  return Atomics.load(new Int32Array(state.shared), ERASED);
}

/** Drops all tables, but keeps the journals. No thread must be using the state. */
export function dropTables(state: ReplayState): void {
  const words = new Int32Array(state.shared);
  withLock(words, () => {
    for (const entry of openEntries(words)) {
      Atomics.add(words, entry + ENTRY.serial, 1);
      closeTable(words, entry);
    }
  });
}

/**
 * Whether every entry that can still matter is in a journal, from which a successor can rebuild the tables.
 *
 * @param now seconds since the epoch.
 */
export function isSaved(state: ReplayState, now: number): boolean {
  const words = new Int32Array(state.shared);
  return withLock(
    words,
    () =>
      [...openEntries(words)].every((entry) =>
        isEntrySaved(words, entry) || isMinuteExpired(words[entry + ENTRY.minute]!, now)
      ),
  );
}

function setAside(path: string): void {
  rmSync(`${path}.damaged`, { recursive: true, force: true });
  renameSync(path, `${path}.damaged`);
}
