// The real path of a file, from the C library, which unlike the runtime does not need /proc for it.
import {
  canCallLibc,
  cString,
  FFIType,
  fixedMemory,
  openLibc,
  SystemError,
  textBeforeNul,
} from "./libc.ts";

const PATH_MAX = 4096;

const { ptr: pointer } = FFIType;

/**
 * The absolute path of a file, without symbolic links, `.` and `..`.
 *
 * @throws the system's error if there is none.
 */
export function realPath(path: string): string {
  if (!canCallLibc()) return process.getBuiltinModule("node:fs").realpathSync(path);
  // Opened only here: every command loads this file, but few call this.
  const { realpath } = openLibc({ realpath: { args: [pointer, pointer], returns: pointer } });
  const resolved = new Uint8Array(fixedMemory(PATH_MAX));
  const name = cString(path);
  if (realpath(name, resolved) === null) throw new SystemError("realpath");
  return textBeforeNul(resolved);
}
