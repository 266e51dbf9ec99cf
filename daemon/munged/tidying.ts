// Work that can wait: giving memory back, and dropping what has expired. It is done some time after a request was served, and
// again when more of it is due. While munged is idle, nothing here runs, because every wake-up disturbs the jobs of a
// compute node.
import { gcAndSweep } from "bun:jsc";
import { releaseProgramPages } from "../../lib/os/program_pages.ts";
import { MAX_TIMER_MS } from "../../lib/timer.ts";

/** When startup counts as over, how long to wait after a request, and the minimum time between two rounds. */
const TIMES = { settledMs: 2_000, requestMs: 30_000, tidyMs: 60_000 };

/** Part of the work. Returns the milliseconds until it has more to do even if no request is served; Infinity if never. */
export type Chore = () => number;

/** Collects the main thread's garbage, and gives back the program's code, which mostly the start and other chores need. */
export function releaseMemory(): number {
  gcAndSweep(); // now, because later it would need code again
  releaseProgramPages();
  return Infinity;
}

/**
 * Does chores from now on.
 *
 * @param nextRequest settles when a request is served.
 * @returns stops it.
 */
export function startTidying(
  nextRequest: () => Promise<void>,
  chores: readonly Chore[],
  { settledMs, requestMs, tidyMs }: typeof TIMES = TIMES,
): () => void {
  let timer: NodeJS.Timeout | undefined;
  let dueAt = Infinity;
  let isStart = true;
  /** When it was done last, apart from the start. */
  let doneAt = -Infinity;
  let isListening = false;
  let isStopped = false;
  const arm = (milliseconds: number) => {
    const at = performance.now() + milliseconds;
    if (isStopped || at >= dueAt) return;
    clearTimeout(timer);
    dueAt = at;
    timer = setTimeout(tidy, Math.min(milliseconds, MAX_TIMER_MS));
    timer.unref();
  };
  const listen = async () => {
    if (isListening) return;
    isListening = true;
    await nextRequest();
    isListening = false;
    arm(Math.max(requestMs, doneAt + tidyMs - performance.now()));
  };
  const tidy = () => {
    dueAt = Infinity;
    if (!isStart) doneAt = performance.now();
    isStart = false;
    void listen(); // first, so that no request is missed
    const waits = chores.map((chore) => chore());
    arm(Math.max(tidyMs, Math.min(...waits)));
  };
  arm(settledMs);
  return () => {
    isStopped = true;
    clearTimeout(timer);
  };
}
