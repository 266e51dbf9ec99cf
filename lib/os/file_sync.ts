// Syncs a whole file system to disk.
import { FFIType, openLibc, SystemError } from "./libc.ts";

const { i32 } = FFIType;

function openSync() {
  return process.platform === "linux"
    ? openLibc({ syncfs: { args: [i32], returns: i32 } })
    : openLibc({ sync: { args: [], returns: FFIType.void } });
}

let libc: ReturnType<typeof openSync> | undefined;

/**
 * Syncs the file system that `fd` is on; where there is no call for that, all file systems.
 *
 * @throws {SystemError} when it can't be written.
 */
export function syncFileSystem(fd: number): void {
  libc ??= openSync();
  if (!("syncfs" in libc)) libc.sync();
  else if (libc.syncfs(fd) < 0) throw new SystemError("syncfs");
}
