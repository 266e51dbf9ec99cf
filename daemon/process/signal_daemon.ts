// Finds the daemon that holds the lock of a socket, and signals it once. stop.ts terminates daemons.
import { closeSync, constants, openSync } from "node:fs";
import { lockHolder } from "../../lib/os/file_lock.ts";
import { lockPath } from "./lock_file.ts";

/** The outcome; `not permitted` also covers a daemon whose process is not visible from here. */
export type Signalled = "signalled" | "no daemon" | "not permitted";

/** Signals the daemon of a socket, if there is one. */
export function signalDaemon(socketPath: string, signal: NodeJS.Signals): Signalled {
  let fd: number;
  try {
    // A link could lead to the lock of another daemon, which must not be signalled.
    const { O_WRONLY, O_NONBLOCK, O_NOFOLLOW } = constants;
    fd = openSync(lockPath(socketPath), O_WRONLY | O_NONBLOCK | O_NOFOLLOW);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? "no daemon" : "not permitted";
  }
  try {
    const pid = lockHolder(fd);
    if (pid === null) return "no daemon";
    if (pid <= 0) return "not permitted"; // to kill(), such numbers mean many processes
    process.kill(pid, signal);
    return "signalled";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH" ? "no daemon" : "not permitted";
  } finally {
    closeSync(fd);
  }
}
