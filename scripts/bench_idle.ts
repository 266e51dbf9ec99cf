// How much an idle process disturbs others: the number of its wake-ups, and the CPU time it uses.
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const CLOCK_TICKS = 100; // per second, for utime and stime in /proc

/** The activity of an idle process. */
export interface IdleFigures {
  /** By thread: its name and number. */
  readonly wakeUps: Readonly<Record<string, number>>;
  readonly cpuSeconds: number;
}

/** Watches a process for some seconds. */
export async function idleFigures(pid: number, seconds: number): Promise<IdleFigures> {
  const before = { switches: contextSwitches(pid), cpu: cpuSeconds(pid) };
  await sleep(seconds * 1000);
  const wakeUps: Record<string, number> = {};
  for (const [thread, count] of Object.entries(contextSwitches(pid))) {
    const more = count - (before.switches[thread] ?? 0);
    if (more > 0) wakeUps[thread] = more;
  }
  return { wakeUps, cpuSeconds: cpuSeconds(pid) - before.cpu };
}

/** The CPU time that a process has used. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}

/** Voluntary context switches of each thread: one per wake-up. */
function contextSwitches(pid: number): Record<string, number> {
  const tasks = `/proc/${pid}/task`;
  return Object.fromEntries(
    readdirSync(tasks).flatMap((task) => {
      try {
        const name = readFileSync(`${tasks}/${task}/comm`, "latin1").trim();
        const status = readFileSync(`${tasks}/${task}/status`, "latin1");
        const count = /^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)![1];
        return [[`${name} ${task}`, Number(count)]];
      } catch {
        return []; // it has ended
      }
    }),
  );
}
