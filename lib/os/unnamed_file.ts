// Creates files without a name, which vanish with their descriptor however the process ends, and gives them a name.
import { canCallLibc, cString, FFIType, openLibc, SystemError } from "./libc.ts";

const isLinux = process.platform === "linux";
const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;
/** O_TMPFILE without O_DIRECTORY, whose number differs between architectures. */
const TMPFILE = 0o20_000_000;

const { i32, ptr: pointer } = FFIType;

/** Descriptor of a new unnamed file in the file system of `directory`, for reading and writing; null if not supported. */
export function openUnnamed(directory: string, mode: number): number | null {
  if (!isLinux || !canCallLibc()) return null;
  const { constants, openSync } = process.getBuiltinModule("node:fs");
  try {
    return openSync(directory, constants.O_RDWR | constants.O_DIRECTORY | TMPFILE, mode);
  } catch {
    return null; // if a file with a name can't be created either, that error says why
  }
}

/** Gives an unnamed file its name, which nothing may have yet. @throws {SystemError} EEXIST, or ENOENT without /proc. */
export function nameFile(fd: number, path: string): void {
  const source = cString(`/proc/self/fd/${fd}`);
  // Opened only here: every command loads this file, but few call this.
  const { linkat } = openLibc({
    linkat: { args: [i32, pointer, i32, pointer, i32], returns: i32 },
  });
  if (linkat(AT_FDCWD, source, AT_FDCWD, cString(path), AT_SYMLINK_FOLLOW) < 0) {
    throw new SystemError("linkat");
  }
}
