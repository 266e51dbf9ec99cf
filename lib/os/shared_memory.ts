// Files mapped into memory shared by all threads of a process, with their disk space allocated first.
import { mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  cString,
  FFIType,
  openLibc,
  type Pointer,
  ptr,
  SystemError,
  toArrayBuffer,
} from "./libc.ts";

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MFD_CLOEXEC = 1;
/** (void *) -1 as a number, far above any address. */
const MAP_FAILED = 2 ** 63;

const { i32, i64, u32, u64, ptr: pointer } = FFIType;
const c = openLibc({
  mmap: { args: [pointer, u64, i32, i32, i32, i64], returns: pointer },
  munmap: { args: [pointer, u64], returns: i32 },
  pwrite: { args: [i32, pointer, u64, i64], returns: i64 },
});

/** A mapped part of a file. `words` must not be used after {@linkcode unmapShared}. */
export interface SharedMapping {
  readonly words: Int32Array;
  readonly address: Pointer;
}

/** Maps `length` bytes of a file from `offset`; both are whole pages, and the file is at least that long. */
export function mapShared(fd: number, offset: number, length: number): SharedMapping {
  const address = c.mmap(null, length, PROT_READ_WRITE, MAP_SHARED, fd, offset);
  if (typeof address !== "number" || address >= MAP_FAILED) throw new SystemError("mmap");
  return { words: new Int32Array(toArrayBuffer(address, 0, length)), address };
}

/** Releases a mapping. */
export function unmapShared(mapping: SharedMapping): void {
  c.munmap(mapping.address, mapping.words.byteLength);
}

const EINVAL = 22;
const EOPNOTSUPP = process.platform === "linux" ? 95 : 45;
const posixFallocate = process.platform === "darwin" ? null : openLibc({
  posix_fallocate: { args: [i32, i64, i64], returns: i32 },
}).posix_fallocate;

/** Reserves space in the file system; false if it does not support that. */
function reserve(fd: number, offset: number, length: number): boolean {
  if (posixFallocate === null) return false;
  const error = posixFallocate(fd, offset, length);
  if (error === EOPNOTSUPP || error === EINVAL) return false;
  if (error !== 0) throw new SystemError("posix_fallocate", error);
  return true;
}

/**
 * Makes a file at least `offset + length` bytes long with its space allocated: writing to a mapping without disk space
 * would raise SIGBUS. Existing contents of that part may be lost.
 *
 * @throws {SystemError} ENOSPC and the like; the file may have grown.
 */
export function allocateSpace(fd: number, offset: number, length: number): void {
  if (!reserve(fd, offset, length)) writeZeros(fd, offset, length);
}

/**
 * Allocates space for the holes of a file of `length` bytes, if the file system supports that.
 *
 * @throws {SystemError} ENOSPC and the like.
 */
export function fillHoles(fd: number, length: number): void {
  reserve(fd, 0, length);
}

function writeZeros(fd: number, offset: number, length: number): void {
  const zeros = new Uint8Array(Math.min(length, 1 << 20));
  for (let done = 0; done < length;) {
    const count = Number(
      c.pwrite(fd, ptr(zeros), Math.min(zeros.length, length - done), offset + done),
    );
    if (count < 0) throw new SystemError("pwrite");
    done += count;
  }
}

/** memfd_create, which macOS and glibc before 2.27 lack. */
function memfdCreator() {
  try {
    return openLibc({ memfd_create: { args: [pointer, u32], returns: i32 } }).memfd_create;
  } catch {
    return null;
  }
}

/** Descriptor of an unnamed file, whose pages are in memory, or at least in the page cache. */
export function openAnonymousFile(name: string): number {
  const memfd_create = memfdCreator();
  if (memfd_create === null) return openUnlinked(name);
  const fd = memfd_create(ptr(cString(name)), MFD_CLOEXEC);
  if (fd < 0) throw new SystemError("memfd_create");
  return fd;
}

function openUnlinked(name: string): number {
  const path = join(mkdtempSync(join(tmpdir(), "munged-")), name);
  const fd = openSync(path, "wx+", 0o600);
  rmSync(dirname(path), { recursive: true });
  return fd;
}
