// A command's standard streams and terminal: writes everything at once, without the milliseconds that loading node:fs takes,
// finds out whether a stream was open at startup, and ignores a terminal's hangup.
import { calls } from "./command_calls.ts";
import { canCallLibc, EINTR, errno, type Pointer, SystemError } from "./libc.ts";

/** Writes all of `bytes`. @throws {SystemError} if they can't be written. */
export function writeWhole(fd: number, bytes: Uint8Array): void {
  if (!canCallLibc()) return writeByRuntime(fd, bytes);
  for (let rest = bytes; rest.length > 0;) {
    const count = calls.write(fd, rest, rest.length);
    if (count >= 0) rest = rest.subarray(count);
    else if (errno() !== EINTR) throw new SystemError("write");
  }
}

function writeByRuntime(fd: number, bytes: Uint8Array): void {
  const { writeSync } = process.getBuiltinModule("node:fs");
  try {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(writeSync(fd, rest));
  } catch (error) {
    throw new SystemError("write", Math.abs((error as NodeJS.ErrnoException).errno ?? EIO));
  }
}

const EIO = 5;
const EPIPE = 32;

/** Whether the reader of an output is gone. */
export function isReaderGone(error: unknown): boolean {
  return error instanceof SystemError && error.errno === EPIPE;
}

const F_GETFD = 1;
const FD_CLOEXEC = 1;

/**
 * Whether a standard stream was open when the program started. The runtime replaces one that was not with /dev/null, opened
 * with the close-on-exec flag, which no descriptor inherited through exec has.
 */
export function wasOpenAtStart(fd: 0 | 1 | 2): boolean {
  if (!canCallLibc()) return true; // unknown
  return (calls.fcntl(fd, F_GETFD) & FD_CLOEXEC) === 0;
}

const SIGHUP = 1;
const SIG_IGN = 1 as Pointer;

/** Ignores the closing of the terminal, as the reference's clients do. */
export function ignoreHangup(): void {
  if (!canCallLibc()) process.on("SIGHUP", () => {});
  else calls.signal(SIGHUP, SIG_IGN);
}
