// What a munged that starts finds in the replay cache's directory: the journals of those before it.
import { renameSync, rmSync } from "node:fs";
import { systemText } from "../../../lib/os/system_text.ts";
import { journalPath, listJournals, NotAJournal } from "./files.ts";
import { openMinute, type ReplayState, withLock } from "./minutes.ts";
import { isOver } from "./upkeep.ts";

/** A file in the cache's directory that could not be taken over. */
export interface LostJournal {
  readonly name: string;
  /** Why it can't be used: credentials of its minute are refused until it can. Null for what is no journal. */
  readonly reason: string | null;
}

/**
 * Makes the tables of an earlier process anew, from the journals that it left in the cache's directory. Those of
 * minutes that are over stay on the disk until it is certain that the clock is right. What is no journal is
 * renamed to `NAME.damaged`. One that there is no memory or descriptor for stays where it is, and nothing is
 * accepted in its minute until there is. To be called once, before any thread uses the state, and by one process
 * only (the caller holds the directory's lock).
 *
 * @param now seconds since the epoch.
 */
export function takeOverJournals(state: ReplayState, now: number): LostJournal[] {
  const { directory } = state;
  if (directory === null) return [];
  const lost: LostJournal[] = [];
  const words = new Int32Array(state.shared);
  for (const { minute, isFile } of listJournals(directory)) {
    if (isFile && isOver(minute, now)) continue;
    const name = String(minute);
    try {
      withLock(words, () => openMinute(state, words, minute, () => {}));
    } catch (error) {
      if (error instanceof NotAJournal) setAside(journalPath(directory, minute));
      lost.push({ name, reason: error instanceof NotAJournal ? null : systemText(error) });
    }
  }
  return lost;
}

function setAside(path: string): void {
  rmSync(`${path}.damaged`, { recursive: true, force: true });
  renameSync(path, `${path}.damaged`);
}
