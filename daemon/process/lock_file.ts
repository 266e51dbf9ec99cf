// The lock that ensures one daemon per socket: a write lock on SOCKET.lock, by which --stop, ours and the reference's,
// finds the daemon. A directory that only one daemon may use is locked the same way.
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  renameSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { MungeError } from "../../lib/errors.ts";
import { lockFile, lockHolder } from "../../lib/os/file_lock.ts";
import { systemText } from "../../lib/os/system_text.ts";
import type { Logger } from "./log.ts";

const LOCK_MODE = 0o200;
/** How often to try again when a predecessor removes its lock file while we open it. */
const MAX_TRIES = 10;

/** Path of a socket's lock file. */
export function lockPath(socketPath: string): string {
  return `${socketPath}.lock`;
}

/** A lock, held until its descriptor is closed. */
export interface FileLock {
  readonly path: string;
  readonly fd: number;
}

/**
 * Takes the socket's lock. With --force, it first removes the lock file, so that even a running daemon loses the
 * socket.
 *
 * @throws {MungeError} if another daemon holds the lock, or the lock file is not ours alone.
 */
export function lockSocket(
  { socketPath, force }: { readonly socketPath: string; readonly force: boolean },
  logger: Pick<Logger, "warning">,
): FileLock {
  const path = lockPath(socketPath);
  if (force) removeLockFile(path, (text) => logger.warning(`Failed to remove ${text}`));
  return lock(path, `bound to socket "${socketPath}"`);
}

/**
 * Takes the lock of a running daemon that has agreed to it: a locked file replaces the daemon's, so the lock is held at
 * every moment, and anyone looking for its holder finds one of the two daemons.
 *
 * @param mode of the lock file.
 * @throws the system's error; the daemon then still has its lock.
 */
export function seizeLock(path: string, mode: number = LOCK_MODE): FileLock {
  const temporary = `${path}.${process.pid}.tmp`;
  removeLockFile(temporary, () => {}); // of an earlier process with our PID
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const fd = openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  try {
    fchmodSync(fd, mode); // regardless of the umask
    if (!lockFile(fd)) throw failure(`Failed to lock "${temporary}"`);
    renameSync(temporary, path);
    return { path, fd };
  } catch (error) {
    closeSync(fd);
    removeLockFile(temporary, () => {});
    throw error;
  }
}

/**
 * Takes the lock of a directory that only one daemon may use.
 *
 * @param program the directory's owner; the lock file is `.PROGRAM.lock` in it.
 * @throws {MungeError} if another daemon holds the lock, or the lock file is not ours alone.
 */
export function lockDirectory(directory: string, program: string): FileLock {
  return lock(join(directory, `.${program}.lock`), `uses "${directory}"`);
}

/** @param what the activity of the lock's holder, for the message. */
function lock(path: string, what: string): FileLock {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const fd = openLockFile(path);
    try {
      if (!lockFile(fd)) {
        const holder = lockHolder(fd);
        if (holder === null) {
          closeSync(fd);
          continue; // it has just ended
        }
        const who = holder > 0 ? `pid ${holder}` : "a process that can't be seen from here";
        throw failure(`Failed to lock "${path}": ${who} ${what}`);
      }
      if (isStillAt(path, fd)) {
        ftruncateSync(fd); // its contents don't matter
        return { path, fd };
      }
      closeSync(fd);
    } catch (error) {
      closeSync(fd);
      if (error instanceof MungeError) throw error;
      throw failure(`Failed to lock "${path}": ${systemText(error)}`, error);
    }
  }
  throw failure(`Failed to lock "${path}": File keeps being replaced`);
}

function openLockFile(path: string): number {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;
  try {
    try {
      const fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, LOCK_MODE);
      fchmodSync(fd, LOCK_MODE); // regardless of the umask
      return fd;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const fd = openSync(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, LOCK_MODE);
    try {
      validate(path, fd);
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  } catch (error) {
    if (error instanceof MungeError) throw error;
    throw failure(`Failed to create "${path}": ${systemText(error)}`, error);
  }
}

function validate(path: string, fd: number): void {
  const breach = lockFileBreach(path, fstatSync(fd), process.geteuid!());
  if (breach !== undefined) throw failure(breach);
}

/** Why a daemon with this UID refuses an existing lock file; undefined if it accepts it. */
export function lockFileBreach(path: string, stats: Stats, uid: number): string | undefined {
  const breach = !stats.isFile()
    ? "should be a regular file"
    : stats.uid !== uid
    ? `should be owned by UID ${uid}`
    : (stats.mode & 0o7777) !== LOCK_MODE
    ? "should only have permissions for write by user (file mode 0200)"
    : undefined;
  return breach === undefined ? undefined : `Failed to validate lockfile: "${path}" ${breach}`;
}

/** Whether the locked file is still the one at this path, which other processes will lock. */
function isStillAt(path: string, fd: number): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  const locked = fstatSync(fd);
  return found !== undefined && found.ino === locked.ino && found.dev === locked.dev;
}

/** Whether the lock file is still in its place. */
export function isLockInPlace(lock: FileLock): boolean {
  return isStillAt(lock.path, lock.fd);
}

/**
 * Removes the lock file when the daemon stops. The lock itself stays until the process is gone, which --stop waits
 * for. A file that is no longer ours, because another daemon took the socket with --force, stays.
 */
export function removeLock(lock: FileLock, logger: Pick<Logger, "warning">): void {
  if (!isStillAt(lock.path, lock.fd)) return;
  removeLockFile(lock.path, (text) => logger.warning(`Failed to remove lockfile ${text}`));
}

function removeLockFile(path: string, complain: (text: string) => void): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      complain(`"${path}": ${systemText(error)}`);
    }
  }
}

function failure(text: string, cause?: unknown): MungeError {
  return new MungeError("EMUNGE_SNAFU", text, { cause });
}
