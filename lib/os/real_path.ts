// The real path of a file, from the C library, which unlike the runtime does not need /proc for it.
import { cString, FFIType, fixedMemory, openLibc, SystemError, textBeforeNul } from "./libc.ts";

const PATH_MAX = 4096;

const { ptr: pointer } = FFIType;
const c = openLibc({ realpath: { args: [pointer, pointer], returns: pointer } });

/**
 * The absolute path of a file, without symbolic links, `.` and `..`.
 *
 * @throws {SystemError} if realpath(3) fails.
 */
export function realPath(path: string): string {
  const resolved = new Uint8Array(fixedMemory(PATH_MAX));
  const name = cString(path);
  if (c.realpath(name, resolved) === null) throw new SystemError("realpath");
  return textBeforeNul(resolved);
}
