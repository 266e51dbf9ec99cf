// POSIX record locks (fcntl) on whole files, which ensure one daemon per socket. Such a lock is released as soon as its
// process closes any descriptor of the file.
import { EAGAIN, errno, FFIType, openLibc, ptr, SystemError } from "./libc.ts";

/** struct flock and the commands of each platform: offsets in bytes; all start and length fields are 0. */
const LAYOUTS: Partial<Record<NodeJS.Platform, Layout>> = {
  linux: { type: 0, whence: 2, pid: 24, F_GETLK: 5, F_SETLK: 6, F_WRLCK: 1 },
  darwin: { type: 20, whence: 22, pid: 16, F_GETLK: 7, F_SETLK: 8, F_WRLCK: 3 },
  freebsd: { type: 20, whence: 22, pid: 16, F_GETLK: 11, F_SETLK: 12, F_WRLCK: 3 },
};

interface Layout {
  readonly type: number;
  readonly whence: number;
  readonly pid: number;
  readonly F_GETLK: number;
  readonly F_SETLK: number;
  readonly F_WRLCK: number;
}

const F_UNLCK = 2;
const SEEK_SET = 0;
const FLOCK_LENGTH = 32;
const EACCES = 13;

const { i32, i64, ptr: pointer, u64 } = FFIType;
// As in socket.ts, six fillers also put the variadic argument where Apple's arm64 calling convention expects it.
const { fcntl } = openLibc({
  fcntl: { args: [i32, i32, pointer, i64, i64, i64, i64, i64, u64], returns: i32 },
});

function layout(): Layout {
  const found = LAYOUTS[process.platform];
  if (found === undefined) throw new Error(`No file locks are known for ${process.platform}`);
  return found;
}

function control(fd: number, command: number): { result: number; lock: DataView } {
  const { type, whence, F_WRLCK } = layout();
  const lock = new DataView(new ArrayBuffer(FLOCK_LENGTH));
  lock.setInt16(type, F_WRLCK, true);
  lock.setInt16(whence, SEEK_SET, true);
  const address = ptr(lock);
  return { result: fcntl(fd, command, address, 0, 0, 0, 0, 0, address), lock };
}

/** Takes the write lock of a file that is open for writing, without blocking; false if another process has it. */
export function lockFile(fd: number): boolean {
  if (control(fd, layout().F_SETLK).result === 0) return true;
  const error = errno();
  if (error === EAGAIN || error === EACCES) return false;
  throw new SystemError("fcntl", error);
}

/**
 * ID of the process whose lock keeps us from locking a file, or null if there is none. 0 or negative for a process in
 * another PID namespace, and for a lock that belongs to an open file instead of a process.
 */
export function lockHolder(fd: number): number | null {
  const { type, pid, F_GETLK } = layout();
  const { result, lock } = control(fd, F_GETLK);
  if (result < 0) throw new SystemError("fcntl");
  return lock.getInt16(type, true) === F_UNLCK ? null : lock.getInt32(pid, true);
}
