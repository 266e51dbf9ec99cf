// The limits of this process: resource limits, and whether it can get more memory.
import { MungeError } from "../errors.ts";
import { canMap } from "./anonymous_memory.ts";
import { canCallLibc, FFIType, fixedMemory, openLibc, SystemError } from "./libc.ts";

const { i32, ptr: pointer } = FFIType;
const c = openLibc({ getrlimit: { args: [i32, pointer], returns: i32 } });

const MIB = 1024 * 1024;
const isLinux = process.platform === "linux";
/** Numbers of the resource limits. */
const RESOURCES = {
  descriptors: isLinux ? 7 : 8, // RLIMIT_NOFILE
  lockedMemory: isLinux ? 8 : 6, // RLIMIT_MEMLOCK, in bytes
  processes: isLinux ? 6 : 7, // RLIMIT_NPROC, of the user, including threads
  stack: 3, // RLIMIT_STACK, in bytes
} as const;
const RLIM_INFINITY = isLinux ? 0xffff_ffff_ffff_ffffn : 0x7fff_ffff_ffff_ffffn;

/** The current resource limit; Infinity if unlimited. @throws {Error} if a filter of system calls refuses the answer. */
export function softLimit(resource: keyof typeof RESOURCES): number {
  const limit = new BigUint64Array(fixedMemory(16)); // struct rlimit: soft, hard
  if (c.getrlimit(RESOURCES[resource], limit) < 0) {
    const cause = new SystemError("getrlimit");
    throw new Error(`Failed to get resource limits: ${cause.message}`, { cause });
  }
  return limit[0] === RLIM_INFINITY ? Infinity : Number(limit[0]);
}

/**
 * Refuses to continue unless this much more memory is available: without it, the engine would crash.
 *
 * @param purpose what needs it, for the message.
 * @throws {MungeError} EMUNGE_NO_MEMORY.
 */
export function requireMemory(bytes: number, purpose: string): void {
  if (!canCallLibc()) return; // unknown
  const need = `must allow ${Math.ceil(bytes / MIB)} MiB more for ${purpose}`;
  const refuse = (limit: string) => {
    throw new MungeError("EMUNGE_NO_MEMORY", `Out of memory: ${limit} ${need}`);
  };
  if (!canMap(bytes, { writable: false })) refuse("ulimit -v"); // RLIMIT_AS
  if (!canMap(bytes, { writable: true })) refuse("ulimit -d"); // RLIMIT_DATA, and strict overcommit
}
