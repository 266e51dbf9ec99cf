// How much the replay cache holds, for munged's status. Any thread may call this.
import { openEntries, type ReplayState, tableOf, withLock } from "./minutes.ts";

/** Number of live entries and their memory, over all tables. */
export function replayUsage(state: ReplayState): { entries: number; bytes: number } {
  const words = new Int32Array(state.shared);
  const sum = { entries: 0, bytes: 0 };
  withLock(words, () => {
    for (const entry of openEntries(words)) {
      const usage = tableOf(words, entry).usage();
      sum.entries += usage.entries;
      sum.bytes += usage.bytes;
    }
  });
  return sum;
}
