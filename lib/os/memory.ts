// Whether this process can get more memory within its own limits and the system's.
import { FFIType, openLibc } from "./libc.ts";

const PROT_NONE = 0;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = process.platform === "linux" ? 0x20 : 0x1000;
const MAP_NORESERVE = process.platform === "linux" ? 0x4000 : 0;
/** (void *) -1 as a number, far above any address. */
const MAP_FAILED = 2 ** 63;

const { i32, i64, u64, ptr: pointer } = FFIType;
const c = openLibc({
  mmap: { args: [pointer, u64, i32, i32, i32, i64], returns: pointer },
  munmap: { args: [pointer, u64], returns: i32 },
});

/** Whether `bytes` more address space is available (RLIMIT_AS). */
export function hasAddressSpace(bytes: number): boolean {
  return canMap(bytes, PROT_NONE);
}

/** Whether `bytes` more writable memory is available (RLIMIT_DATA, and strict overcommit). */
export function hasMemory(bytes: number): boolean {
  return canMap(bytes, PROT_READ_WRITE);
}

function canMap(bytes: number, protection: number): boolean {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const address = c.mmap(null, bytes, protection, flags, -1, 0);
  if (typeof address !== "number" || address >= MAP_FAILED) return false;
  c.munmap(address, bytes);
  return true;
}
