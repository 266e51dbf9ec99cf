// munged --stop: stops the daemon that holds the lock of a socket.
import { closeSync, constants, openSync } from "node:fs";
import { lockHolder } from "../../lib/os/file_lock.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { lockPath } from "./lock_file.ts";
import type { Logger } from "./log.ts";
import { processState } from "./process_state.ts";

/** How long a daemon may take to stop on SIGTERM, and the kernel to kill it on SIGKILL. */
const GRACE_MS = { SIGTERM: 5000, SIGKILL: 1000 } as const;
const POLL_MS = 1;
/** How long a daemon may live on after it releases the lock, where only the lock shows that it has ended. */
const CLEANUP_MS = 250;
const SIGNALS = [["SIGTERM", 15, "Terminated"], ["SIGKILL", 9, "Killed"]] as const;

/**
 * Signals the daemon until it is gone.
 *
 * @param logger reports what happened with --verbose; otherwise nothing is reported.
 * @returns the exit status: 1 if no daemon is running or it can't be stopped.
 */
export function stopDaemon(
  { socketPath, verbose }: { readonly socketPath: string; readonly verbose: boolean },
  logger: Pick<Logger, "error" | "notice">,
): 0 | 1 {
  const path = lockPath(socketPath);
  const fail = (text: string): 1 => {
    if (verbose) logger.error(text);
    return 1;
  };
  const notFound = (reason: string) =>
    fail(`Failed to query socket lockfile "${path}": ${reason} (Cannot find running process)`);
  let fd: number | undefined;
  try {
    // A link could lead to the lock of another daemon, which must not be signalled.
    fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    const pid = lockHolder(fd);
    if (pid === null) return notFound("Lock not held");
    // 0 if the holder is in another PID namespace, -1 if no process holds it; kill() treats both as many processes.
    if (pid <= 0) return notFound("Lock held by a process that can't be seen from here");
    const report = (action: string): 0 => {
      if (verbose) logger.notice(`${action} daemon bound to socket "${socketPath}" (pid ${pid})`);
      return 0;
    };
    for (const [name, number, action] of SIGNALS) {
      try {
        process.kill(pid, name);
      } catch (error) {
        if (isGone(error)) return report(action);
        return fail(`Failed to signal daemon (pid ${pid}, sig ${number}): ${systemText(error)}`);
      }
      if (hasEnded(fd, pid, GRACE_MS[name])) return report(action);
    }
    return fail(`Failed to stop daemon bound to socket "${socketPath}" (pid ${pid})`);
  } catch (error) {
    return notFound(systemText(error));
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/**
 * Waits until a process is gone: it no longer exists, or its process ID has been reused. A zombie gets the whole time, as
 * its parent usually reaps it soon, and then counts as gone. A process that /proc does not show gets a moment to clean up
 * after it has released the lock.
 */
function hasEnded(fd: number, pid: number, timeoutMs: number): boolean {
  const deadline = performance.now() + timeoutMs;
  const first = processState(pid);
  let released: number | undefined;
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch (error) {
      if (isGone(error)) return true;
    }
    const now = processState(pid);
    if (first !== undefined && now !== undefined && now.start !== first.start) return true;
    if (lockHolder(fd) !== pid) released ??= performance.now();
    if (performance.now() >= deadline) return released !== undefined && now?.state === "Z";
    if (now === undefined && performance.now() - (released ?? Infinity) > CLEANUP_MS) return true;
    Bun.sleepSync(POLL_MS);
  }
}

function isGone(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ESRCH";
}
