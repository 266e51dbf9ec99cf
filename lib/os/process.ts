// What a daemon asks of its own process and of others: its name, its memory, its core dumps, its
// descriptors, signals to others. Calls that Linux alone knows do nothing elsewhere.
import { CString, FFIType, fixedMemory, openLibc, ptr, SystemError } from "./libc.ts";

const isLinux = process.platform === "linux";
const PR_SET_DUMPABLE = 4;
const PR_SET_NAME = 15;
const RLIMIT_CORE = 4;
const RLIMIT_MEMLOCK = isLinux ? 8 : 6;
const RLIMIT_NOFILE = isLinux ? 7 : 8;
const RLIM_INFINITY = isLinux ? 0xffff_ffff_ffff_ffffn : 0x7fff_ffff_ffff_ffffn;
const MCL_CURRENT = 1;
const MCL_FUTURE = 2;
/** Locks a page when it is first touched: without it, all address space the runtime reserved is filled. */
const MCL_ONFAULT = isLinux ? 4 : 0;

const { i32, u64, ptr: pointer } = FFIType;
const c = openLibc({
  dup2: { args: [i32, i32], returns: i32 },
  getrlimit: { args: [i32, pointer], returns: i32 },
  mlockall: { args: [i32], returns: i32 },
  pipe: { args: [pointer], returns: i32 },
  poll: { args: [pointer, u64, i32], returns: i32 },
  setrlimit: { args: [i32, pointer], returns: i32 },
  strsignal: { args: [i32], returns: pointer },
});
const prctl = isLinux
  ? openLibc({ prctl: { args: [i32, u64, u64, u64, u64], returns: i32 } }).prctl
  : null;

/** Makes `copy` another number of the open file `fd`, closing what it was: one step for all threads. */
export function duplicateOver(fd: number, copy: number): void {
  if (c.dup2(fd, copy) < 0) throw new SystemError("dup2");
}

const POLLOUT = 4;
/** struct pollfd: fd i32, events i16, revents i16. */
const pollFd = new Int32Array(fixedMemory(8));
const pollAddress = ptr(pollFd);

/** Whether a short write would not have to wait, now or within some milliseconds. */
export function canWrite(fd: number, milliseconds: number): boolean {
  pollFd[0] = fd;
  pollFd[1] = POLLOUT;
  return c.poll(pollAddress, 1, milliseconds) > 0;
}

/** Both ends of a pipe whose reads block. */
export function openBlockingPipe(): { readEnd: number; writeEnd: number } {
  const ends = new Int32Array(2);
  if (c.pipe(ptr(ends)) < 0) throw new SystemError("pipe");
  return { readEnd: ends[0]!, writeEnd: ends[1]! };
}

/** Names the process for ps and pgrep; to be called on the main thread. */
export function setProcessName(name: string): void {
  const bytes = new Uint8Array(16); // TASK_COMM_LEN, NUL included
  new TextEncoder().encodeInto(name, bytes.subarray(0, 15));
  prctl?.(PR_SET_NAME, ptr(bytes), 0, 0, 0);
}

/** Keeps keys out of core dumps, and other processes of the same user out of our memory. */
export function forbidCoreDumps(): void {
  if (c.setrlimit(RLIMIT_CORE, ptr(new BigUint64Array([0n, 0n]))) < 0) {
    throw new SystemError("setrlimit");
  }
  if (prctl !== null && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) throw new SystemError("prctl");
}

/** Locks all pages, those to come included, into memory. @throws {SystemError} if that can't be. */
export function lockMemory(): void {
  if (c.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0) throw new SystemError("mlockall");
}

/** How many bytes this process may lock into memory; Infinity for any number. */
export function memoryLockLimit(): number {
  const limit = new BigUint64Array(2);
  if (c.getrlimit(RLIMIT_MEMLOCK, ptr(limit)) < 0) throw new SystemError("getrlimit");
  return limit[0] === RLIM_INFINITY ? Infinity : Number(limit[0]);
}

/** How many descriptors this process may have; Infinity for any number. */
export function descriptorLimit(): number {
  const limit = new BigUint64Array(2);
  if (c.getrlimit(RLIMIT_NOFILE, ptr(limit)) < 0) throw new SystemError("getrlimit");
  return limit[0] === RLIM_INFINITY ? Infinity : Number(limit[0]);
}

/** The first of the last `spare` descriptors, or of the last quarter where there are few. */
export function lastDescriptors(spare: number): number {
  const limit = descriptorLimit();
  return limit - Math.min(spare, limit / 4);
}

/** The system's name of a signal, "Terminated". */
export function signalText(signal: number): string {
  const text = c.strsignal(signal);
  return text === null ? `Signal ${signal}` : new CString(text).toString();
}
