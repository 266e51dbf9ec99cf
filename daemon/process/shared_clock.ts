// A clock that all threads of a process share: performance.now() counts from each thread's own start.

const OFFSET = Number(process.hrtime.bigint() / 1_000n) / 1_000 - performance.now();

/** Milliseconds of the system's monotonic clock, for a time of this thread's performance.now(). */
export function sharedTime(now: number): number {
  return now + OFFSET;
}
