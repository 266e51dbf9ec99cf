// What the kernel says about a process in /proc, on Linux.
import { readFileSync } from "node:fs";

/** A process. */
export interface ProcessState {
  /** "R", "S", "Z" and so on. */
  readonly state: string;
  /** Process ID of its session's leader. */
  readonly session: string;
  /** Its controlling terminal; "0" for none. */
  readonly terminal: string;
  /** When it started. */
  readonly start: string;
}

/** The state of a process; undefined if /proc does not show it. */
export function processState(pid: number | "self"): ProcessState | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // proc(5): the fields after the name, which may contain anything, starting with the third
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state, session, terminal, start] = [fields[0]!, fields[3]!, fields[4]!, fields[19]!];
    return { state, session, terminal, start };
  } catch {
    return undefined;
  }
}
