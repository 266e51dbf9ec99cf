// Writing to a descriptor, whole and at once, without the milliseconds that loading node:fs takes.
import { EINTR, errno, FFIType, openLibc, ptr, SystemError } from "./libc.ts";

const c = openLibc({
  write: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
});

/** Writes all of `bytes`. @throws {SystemError} when they can't be written. */
export function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let rest = bytes; rest.length > 0;) {
    const count = c.write(fd, ptr(rest), rest.length);
    if (count >= 0) rest = rest.subarray(count);
    else if (errno() !== EINTR) throw new SystemError("write");
  }
}

const EPIPE = 32;

/** Whether whoever was to read an output has gone away. */
export function isReaderGone(error: unknown): boolean {
  return error instanceof SystemError && error.errno === EPIPE;
}
