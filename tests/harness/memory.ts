// The memory of a running program, and how much an idle munged may have.
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

/** One mebibyte. */
export const MIB = 1024 * 1024;
/** By then, munged with 2 threads has given back what only its start needed. */
export const SETTLED_MS = 3_000;
/** The same on a busy machine. */
const LATEST_MS = 20_000;
/** How much of it may stay resident then. */
export const IDLE_MEMORY: number = 45 * MIB;

/** One field of /proc/PID/status, in bytes. */
export function memoryOf(
  pid: number,
  field: "RssAnon" | "RssFile" | "VmData" | "VmHWM" | "VmRSS",
): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
}

/**
 * What stays resident of an idle munged when it has settled.
 *
 * @param most what is waited for on a busy machine.
 */
export async function settledMemory(pid: number, most: number = IDLE_MEMORY): Promise<number> {
  const latest = performance.now() + LATEST_MS;
  await pause(SETTLED_MS);
  while (memoryOf(pid, "VmRSS") > most && performance.now() < latest) await pause(500);
  return memoryOf(pid, "VmRSS");
}

/**
 * Runs a program and watches how much memory it takes. Its `ru_maxrss` would not do: that starts at the peak of the process
 * which started it (getrusage(2)).
 */
export async function runWatched(
  command: string[],
): Promise<{ status: number; out: string; peak: number }> {
  const child = Bun.spawn(command, { stdio: ["ignore", "pipe", "ignore"] });
  let peak = 0;
  const watch = setInterval(() => {
    try {
      peak = Math.max(peak, memoryOf(child.pid, "VmHWM") || 0);
    } catch {
      // it has ended
    }
  }, 10);
  try {
    const out = await new Response(child.stdout).text();
    return { status: await child.exited, out, peak };
  } finally {
    clearInterval(watch);
  }
}
