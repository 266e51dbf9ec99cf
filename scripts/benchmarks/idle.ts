// How much an idle process disturbs others: how often it wakes up, and how much CPU time it uses.
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const CLOCK_TICKS = 100; // per second, for utime and stime in /proc

/** The activity of an idle process. */
export interface IdleFigures {
  /** By thread: its name and number. */
  readonly wakeUps: Readonly<Record<string, number>>;
  /** As in /proc/PID/stat, so in whole ticks. */
  readonly cpuSeconds: number;
  /** The same to the nanosecond, by the scheduler's clock. */
  readonly runMilliseconds: number;
}

/** Watches a process for some seconds. */
export async function idleFigures(pid: number, seconds: number): Promise<IdleFigures> {
  const before = {
    switches: contextSwitches(pid),
    cpu: cpuSeconds(pid),
    run: ofThreads(pid, runMilliseconds),
  };
  await sleep(seconds * 1000);
  const wakeUps: Record<string, number> = {};
  for (const [thread, count] of Object.entries(contextSwitches(pid))) {
    const more = count - (before.switches[thread] ?? 0);
    if (more > 0) wakeUps[thread] = more;
  }
  let run = 0;
  for (const [thread, time] of Object.entries(ofThreads(pid, runMilliseconds))) {
    run += time - (before.run[thread] ?? 0);
  }
  return { wakeUps, cpuSeconds: cpuSeconds(pid) - before.cpu, runMilliseconds: run };
}

/** The CPU time that a process has used. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}

/** Voluntary context switches of each thread: one per wake-up. */
function contextSwitches(pid: number): Record<string, number> {
  return ofThreads(pid, (directory) => {
    const status = readFileSync(`${directory}/status`, "latin1");
    return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)![1]);
  });
}

/** For how long a thread has run. */
function runMilliseconds(directory: string): number {
  return Number(readFileSync(`${directory}/schedstat`, "latin1").split(" ")[0]) / 1e6;
}

/** A figure of each thread, read from its directory in /proc, by the thread's name and number. */
function ofThreads(pid: number, read: (directory: string) => number): Record<string, number> {
  const tasks = `/proc/${pid}/task`;
  return Object.fromEntries(
    readdirSync(tasks).flatMap((task) => {
      const directory = `${tasks}/${task}`;
      try {
        const name = readFileSync(`${directory}/comm`, "latin1").trim();
        return [[`${name} ${task}`, read(directory)]];
      } catch {
        return []; // it has ended
      }
    }),
  );
}
