// Starts a daemon in the foreground as a child of the tests, and waits until it serves or has ended. Works in every runtime that
// the tests run under.
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

const START_TIMEOUT_MS = 120_000;
const POLL_MS = 10;

/** A running daemon. */
export interface Daemon {
  readonly process: ChildProcess;
  /** Everything it has written to standard error. */
  log(): string;
  /** Settles with its exit status when it has ended and its log is complete; null for a signal. */
  readonly ended: Promise<number | null>;
}

/**
 * Starts a daemon.
 *
 * @param command the program and its arguments.
 * @param isReady tells from its standard error so far whether it serves.
 * @throws {Error} with its output, if it ends or isn't ready in time.
 */
export async function startDaemon(
  command: readonly string[],
  isReady: (log: string) => boolean | Promise<boolean>,
): Promise<Daemon> {
  const [name, ...args] = command;
  const child = spawn(name!, args, { stdio: ["ignore", "ignore", "pipe"], cwd: "/" });
  let log = "";
  child.stderr.setEncoding("latin1").on("data", (text: string) => log += text);
  // Not at "exit", when the last lines of its log may not have been read yet.
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!await isReady(log)) {
    if (child.exitCode !== null || performance.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`${command.join(" ")} did not start:\n${log}`);
    }
    await pause(POLL_MS);
  }
  return { process: child, log: () => log, ended };
}

/** Whether a process runs; a zombie does not. */
export function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [XZ] /s.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

/** How many processes a user has; zombies count, as they do for `ulimit -u`. */
export function processesOf(uid: number): number {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/status`, "latin1").includes(`\nUid:\t${uid}\t`);
    } catch {
      return false; // it has ended
    }
  }).length;
}
