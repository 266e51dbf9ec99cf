// Anonymous memory that all threads of a process share by its address, for data that is too large, or allocated too often,
// for a SharedArrayBuffer. It is never unmapped, except by canMap(), because a thread may still have its address.
import { FFIType, openLibc, type Pointer, SystemError, toArrayBuffer } from "./libc.ts";

const PROT_NONE = 0;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = process.platform === "linux" ? 0x20 : 0x1000;
const MAP_NORESERVE = process.platform === "linux" ? 0x4000 : 0;
const MADV_DONTNEED = 4;
/** (void *) -1 as a number, far above any address. */
const MAP_FAILED = 2 ** 63;

const { i32, i64, u64, ptr: pointer } = FFIType;
const c = openLibc({
  mmap: { args: [pointer, u64, i32, i32, i32, i64], returns: pointer },
  munmap: { args: [pointer, u64], returns: i32 },
  madvise: { args: [pointer, u64, i32], returns: i32 },
});

/**
 * Address of new zeroed memory, in whole pages.
 *
 * @throws {SystemError} ENOMEM.
 */
export function mapMemory(length: number): number {
  const address = map(length, PROT_READ_WRITE, 0);
  if (address === null) throw new SystemError("mmap");
  return address;
}

/**
 * Zeroed memory for as long as the process runs, like fixedMemory(), for large buffers that may never be used fully:
 * only the pages in use take memory, whereas the engine may write zeros to all pages of a buffer that it allocates.
 *
 * @throws {SystemError} ENOMEM.
 */
export function permanentMemory(length: number): ArrayBuffer {
  return toArrayBuffer(mapMemory(length) as Pointer, 0, length);
}

/** Whether this many more bytes can be mapped: address space, and memory if it is to be written to. */
export function canMap(length: number, { writable }: { readonly writable: boolean }): boolean {
  const address = map(length, writable ? PROT_READ_WRITE : PROT_NONE, MAP_NORESERVE);
  if (address === null) return false;
  c.munmap(address as Pointer, length);
  return true;
}

function map(length: number, protection: number, flags: number): number | null {
  const address = c.mmap(null, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return typeof address === "number" && address < MAP_FAILED ? address : null;
}

/** The words at an address from {@linkcode mapMemory}, in this or another thread. */
export function memoryAt(address: number, length: number): Int32Array<ArrayBuffer> {
  return new Int32Array(toArrayBuffer(address as Pointer, 0, length));
}

/** Zeroes memory again; on Linux, this also releases its pages until they are used. */
export function clearMemory(address: number, length: number): void {
  if (process.platform !== "linux") memoryAt(address, length).fill(0);
  else if (c.madvise(address as Pointer, length, MADV_DONTNEED) < 0) {
    throw new SystemError("madvise");
  }
}
