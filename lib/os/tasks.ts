// Counts a user's tasks as RLIMIT_NPROC does: processes with their threads (getrlimit(2), proc(5)).
import { readdirSync, readFileSync } from "node:fs";

/** What /proc/PID/status says about a process. */
const REAL_UID = /^Uid:\t(\d+)/m;
const THREADS = /^Threads:\t(\d+)/m;
/** The number of tasks of the whole system in /proc/loadavg. */
const ALL_TASKS = /\/(\d+)/;

/**
 * The number of tasks in this user's other processes; 0 if the whole system has no more than `spare`, because counting
 * takes 20 us for each process, or if there is no /proc.
 */
export function otherTasks(spare: number): number {
  const all = ALL_TASKS.exec(read("/proc/loadavg"))?.[1];
  if (all === undefined || Number(all) <= spare) return 0;
  const uid = process.getuid!();
  const numbers = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return numbers.reduce((sum, number) => {
    if (Number(number) === process.pid) return sum;
    const status = read(`/proc/${number}/status`); // it may have ended
    if (Number(REAL_UID.exec(status)?.[1]) !== uid) return sum;
    return sum + Number(THREADS.exec(status)?.[1]);
  }, 0);
}

/** The text of a file; empty if there is no such file. */
function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
