// Writing to files at a position of the caller's choice, by several threads at once, and having what was
// written reach the disk. What may be written where is the callers'.
import { FFIType, fixedMemory, openLibc, ptr, SystemError } from "./libc.ts";

const { i32, i64, u32, ptr: pointer } = FFIType;
const c = openLibc({
  // Lengths stay far below 2^31, so the low half of the ssize_t tells all and no BigInt is made.
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
const MOST = 4096;
const buffer = new Uint8Array(fixedMemory(MOST));
const address = ptr(buffer);

/**
 * Writes up to 4096 bytes at `offset`, all or nothing as far as the caller is told.
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
 * Has the file system set space aside for a piece of a file, which then reads as zeros; what is there already
 * stays. False where it can't, or has none: the next write there says why. Not posix_fallocate(), which may
 * write the zeros itself, and not notice what another thread writes meanwhile.
 */
export function reserveSpace(fd: number, offset: number, length: number): boolean {
  return linux !== null && linux.fallocate(fd, 0, offset, length) === 0;
}

/**
 * Makes a new file `length` bytes long, all zeros, with its space really there.
 *
 * @throws {SystemError} ENOSPC and the like; the file may have grown.
 */
export function allocateSpace(fd: number, length: number): void {
  if (reserveSpace(fd, 0, length)) return;
  const zeros = new Uint8Array(MOST);
  for (let done = 0; done < length; done += MOST) {
    writeAt(fd, zeros.subarray(0, Math.min(MOST, length - done)), done);
  }
}

/** Returns once what was written to a file is on the disk. @throws {SystemError} when it can't get there. */
export function syncData(fd: number): void {
  const status = linux === null ? c.fsync(fd) : linux.fdatasync(fd);
  if (status < 0) throw new SystemError(linux === null ? "fsync" : "fdatasync");
}
