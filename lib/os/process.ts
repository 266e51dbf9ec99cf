// Calls on a daemon's own process and on others: name, memory, core dumps, descriptors, signals. Calls that only
// Linux has do nothing elsewhere.
import { CString, FFIType, fixedMemory, openLibc, ptr, SystemError } from "./libc.ts";
import { softLimit } from "./limits.ts";

const isLinux = process.platform === "linux";
const PR_SET_DUMPABLE = 4;
const PR_SET_NAME = 15;
const RLIMIT_CORE = 4;
const MCL_CURRENT = 1;
const MCL_FUTURE = 2;
/** Locks each page when it is first touched; without it, all reserved address space would become resident. */
const MCL_ONFAULT = isLinux ? 4 : 0;

const F_DUPFD_CLOEXEC = isLinux ? 1030 : process.platform === "darwin" ? 67 : 17;

const { i32, i64, u64, ptr: pointer } = FFIType;
const c = openLibc({
  dup2: { args: [i32, i32], returns: i32 },
  mlockall: { args: [i32], returns: i32 },
  pipe: { args: [pointer], returns: i32 },
  // The variadic argument twice, as in socket.ts.
  fcntl: { args: [i32, i32, i64, i64, i64, i64, i64, i64, i64], returns: i32 },
  poll: { args: [pointer, u64, i32], returns: i32 },
  setrlimit: { args: [i32, pointer], returns: i32 },
  strsignal: { args: [i32], returns: pointer },
});
const prctl = isLinux
  ? openLibc({ prctl: { args: [i32, u64, u64, u64, u64], returns: i32 } }).prctl
  : null;

/** Makes `copy` another descriptor of the open file `fd`, closing the old one; atomic for all threads. */
export function duplicateOver(fd: number, copy: number): void {
  if (c.dup2(fd, copy) < 0) throw new SystemError("dup2");
}

/** A new descriptor of the open file `fd`, with a higher number than `last`, which programs that we start don't inherit. */
export function duplicateAbove(fd: number, last: number): number {
  const least = last + 1;
  const copy = c.fcntl(fd, F_DUPFD_CLOEXEC, least, 0, 0, 0, 0, 0, least);
  if (copy < 0) throw new SystemError("fcntl");
  return copy;
}

const POLLOUT = 4;
/** struct pollfd: fd i32, events i16, revents i16. */
const pollFd = new Int32Array(fixedMemory(8));
const pollAddress = ptr(pollFd);

/** Whether a short write would not block, now or within `milliseconds`. */
export function canWrite(fd: number, milliseconds: number): boolean {
  pollFd[0] = fd;
  pollFd[1] = POLLOUT;
  return c.poll(pollAddress, 1, milliseconds) > 0;
}

/** Both ends of a pipe whose reads block. */
export function openBlockingPipe(): { readEnd: number; writeEnd: number } {
  const ends = new Int32Array(2);
  if (c.pipe(ends) < 0) throw new SystemError("pipe");
  return { readEnd: ends[0]!, writeEnd: ends[1]! };
}

/** Sets the process name for ps and pgrep; must be called on the main thread. */
export function setProcessName(name: string): void {
  const bytes = new Uint8Array(fixedMemory(16)); // TASK_COMM_LEN, including NUL
  new TextEncoder().encodeInto(name, bytes.subarray(0, 15));
  const address = ptr(bytes);
  prctl?.(PR_SET_NAME, address, 0, 0, 0);
}

/** Keeps our memory from other processes of the user and from core dumps; programs that we start are not affected. */
export function hideMemory(): void {
  if (prctl !== null && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) throw coreDumpFailure("prctl");
}

/** Keeps keys out of core dumps, and other processes of the same user out of our memory. */
export function forbidCoreDumps(): void {
  if (c.setrlimit(RLIMIT_CORE, new BigUint64Array([0n, 0n])) < 0) {
    throw coreDumpFailure("setrlimit");
  }
  hideMemory();
}

/** The C MUNGE's error for a failed call of this name. */
function coreDumpFailure(call: string): Error {
  const cause = new SystemError(call);
  return new Error(`Failed to disable core dumps: ${cause.message}`, { cause });
}

/** Locks all current and future pages into memory. @throws {SystemError} if that fails. */
export function lockMemory(): void {
  if (c.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0) throw new SystemError("mlockall");
}

/** The number at which the last `spare` descriptors begin, or the last quarter if there are few. */
export function lastDescriptors(spare: number): number {
  const limit = softLimit("descriptors");
  return limit - Math.min(spare, limit / 4);
}

/** The system's name for a signal, such as "Terminated". */
export function signalText(signal: number): string {
  const text = c.strsignal(signal);
  return text === null ? `Signal ${signal}` : new CString(text).toString();
}
