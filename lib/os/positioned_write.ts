// Writes to files at given offsets, from several threads at once, and syncs them to disk. The callers decide what to write
// where.
import { FFIType, fixedMemory, openLibc, ptr, SystemError } from "./libc.ts";

const { i32, i64, u32, ptr: pointer } = FFIType;
const c = openLibc({
  // Lengths stay far below 2^31, so the low half of the ssize_t suffices and no BigInt is created.
  pwrite: { args: [i32, pointer, u32, i64], returns: i32 },
  fsync: { args: [i32], returns: i32 },
});
const linux = process.platform === "linux"
  ? openLibc({
    fallocate: { args: [i32, i32, i64, i64], returns: i32 },
    fdatasync: { args: [i32], returns: i32 },
  })
  : null;

const ENOSPC = 28;
/** More than any caller writes at once. */
const MAX_LENGTH = 4096;
const buffer = new Uint8Array(fixedMemory(MAX_LENGTH));
const address = ptr(buffer);

/**
 * Writes up to 4096 bytes at `offset`; reports success only if all were written.
 *
 * @throws {SystemError} ENOSPC and the like.
 */
export function writeAt(fd: number, bytes: Uint8Array, offset: number): void {
  buffer.set(bytes);
  const count = c.pwrite(fd, address, bytes.length, offset);
  if (count < 0) throw new SystemError("pwrite");
  if (count < bytes.length) throw new SystemError("pwrite", ENOSPC);
}

/**
 * Reserves space in the file system for part of a file, which then reads as zeros; existing contents stay. Returns false if
 * the file system can't, or has no space; the next write there reports why. It does not use posix_fallocate(), which may
 * write the zeros itself and overwrite another thread's concurrent write.
 */
export function reserveSpace(fd: number, offset: number, length: number): boolean {
  return linux !== null && linux.fallocate(fd, 0, offset, length) === 0;
}

/**
 * Makes a new file `length` bytes long, all zeros, with its space allocated.
 *
 * @throws {SystemError} ENOSPC and the like; the file may have grown.
 */
export function allocateSpace(fd: number, length: number): void {
  if (reserveSpace(fd, 0, length)) return;
  const zeros = new Uint8Array(MAX_LENGTH);
  for (let done = 0; done < length; done += MAX_LENGTH) {
    writeAt(fd, zeros.subarray(0, Math.min(MAX_LENGTH, length - done)), done);
  }
}

/** Syncs a file to disk. @throws {SystemError} if that fails. */
export function syncData(fd: number): void {
  const status = linux === null ? c.fsync(fd) : linux.fdatasync(fd);
  if (status < 0) throw new SystemError(linux === null ? "fsync" : "fdatasync");
}
