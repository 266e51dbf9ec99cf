// What the kernel says about the mount that a file is on (statvfs(3)).
import { closeSync, constants, openSync } from "node:fs";
import { FFIType, fixedMemory, openLibc, SystemError } from "./libc.ts";

const ST_RDONLY = 1;
/** Lengths and offsets in bytes of struct statvfs on 64-bit Linux; glibc's and musl's are the same. */
const STATVFS_LENGTH = 256;
const FLAG_OFFSET = 72;

const { i32, ptr: pointer } = FFIType;

/**
 * Whether an open file is on a read-only mount; false on systems other than Linux.
 *
 * @throws {SystemError}
 */
export function isOnReadOnlyMount(fd: number): boolean {
  if (process.platform !== "linux") return false;
  // Opened only here: every command that checks keys loads this file, but only a container calls this.
  const { fstatvfs } = openLibc({ fstatvfs: { args: [i32, pointer], returns: i32 } });
  const statvfs = new DataView(fixedMemory(STATVFS_LENGTH));
  if (fstatvfs(fd, new Uint8Array(statvfs.buffer)) < 0) throw new SystemError("fstatvfs");
  return (statvfs.getUint32(FLAG_OFFSET, true) & ST_RDONLY) !== 0;
}

/** The same for the path of a file; false if it can't be opened. @throws {SystemError} */
export function isMountedReadOnly(path: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return false;
  }
  try {
    return isOnReadOnlyMount(fd);
  } finally {
    closeSync(fd);
  }
}
