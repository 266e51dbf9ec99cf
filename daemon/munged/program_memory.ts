// Gives back the memory of program code that only the start needed and, later, what only a past load did. An idle munged does
// not: to look at all the code again would cost more than it gives back.
import { releaseProgramPages } from "../../lib/os/program_pages.ts";

/** When the start is complete, and how often to look after that: as often as the replay cache is tidied. */
const TIMES = { settledMs: 2_000, tidyMs: 5 * 60_000 };

/**
 * Keeps the program small from now on.
 *
 * @param countRequests the number of requests served so far.
 * @param release gives the memory back.
 */
export function keepProgramSmall(
  countRequests: () => number,
  release: () => void = releaseProgramPages,
  { settledMs, tidyMs }: typeof TIMES = TIMES,
): void {
  let served: number | undefined;
  const tidy = () => {
    const count = countRequests();
    if (count === served) return;
    served = count;
    release();
  };
  setTimeout(tidy, settledMs).unref();
  setInterval(tidy, tidyMs).unref(); // begun now, so that munged wakes up once for this and the replay cache
}
