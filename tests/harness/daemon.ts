// A daemon in the foreground, as a child of the tests: started, waited for, and ended. For every runtime that tests
// run under.
import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";

const START_TIMEOUT_MS = 30_000;
const POLL_MS = 10;

/** A daemon that runs until it is ended. */
export interface Daemon {
  readonly process: ChildProcess;
  /** Everything it has written to standard error. */
  log(): string;
  /** Settles with its exit status when it ends; null for a signal. */
  readonly ended: Promise<number | null>;
}

/**
 * Starts a daemon.
 *
 * @param command its words.
 * @param isReady whether it serves by now, from what it has written to standard error.
 * @throws {Error} with what it has written, if it ends or isn't ready in time.
 */
export async function startDaemon(
  command: readonly string[],
  isReady: (log: string) => boolean | Promise<boolean>,
): Promise<Daemon> {
  const [name, ...args] = command;
  const child = spawn(name!, args, { stdio: ["ignore", "ignore", "pipe"], cwd: "/" });
  let log = "";
  child.stderr.setEncoding("latin1").on("data", (text: string) => log += text);
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
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
