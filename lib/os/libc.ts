// The door to libc: opens it under the platform's name, reads errno, and turns it into errors.
// Each neighbour in this folder declares the functions it calls; nobody else calls libc.
import {
  CString,
  dlopen,
  type FFIFunction,
  FFIType,
  type Pointer,
  ptr,
  toArrayBuffer,
} from "bun:ffi";

const LIBC: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  linux: [
    "libc.so.6",
    `/lib/ld-musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`,
  ],
  darwin: ["libSystem.B.dylib"],
  freebsd: ["libc.so.7"],
};

/** The functions of libc named by `symbols`, ready to call. */
export function openLibc<T extends Record<string, FFIFunction>>(symbols: T) {
  let failure: unknown = new Error(`No C library is known for ${process.platform}`);
  for (const name of LIBC[process.platform] ?? []) {
    try {
      return dlopen(name, symbols).symbols;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

const errnoSymbol = process.platform === "linux" ? "__errno_location" : "__error";
const base = openLibc({
  [errnoSymbol]: { args: [], returns: FFIType.ptr },
  strerror: { args: [FFIType.i32], returns: FFIType.ptr },
}) as unknown as Record<string, (...args: number[]) => number>;

// The address is one per thread, and every thread loads this file anew.
const errnoCell = new Int32Array(toArrayBuffer(base[errnoSymbol]!() as never, 0, 4));

/** errno of the last libc call of this thread; read it straight after the call. */
export function errno(): number {
  return errnoCell[0]!;
}

/** Sets errno to 0, for the functions that tell failure from absence only by errno. */
export function clearErrno(): void {
  errnoCell[0] = 0;
}

/** The system's text for an error number: "No such file or directory". */
export function strerror(number: number): string {
  return new CString(base["strerror"]!(number) as never).toString();
}

/** A signal came first: the call is to be made again. */
export const EINTR = 4;
/** Nothing to be had, or no room, without waiting. */
export const EAGAIN = process.platform === "linux" ? 11 : 35;

/** A libc call that failed: `message` is the system's text alone. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  /** The call that failed, "open". */
  readonly call: string;
  /** The system's error number. */
  readonly errno: number;

  constructor(call: string, number: number = errno()) {
    super(strerror(number));
    this.call = call;
    this.errno = number;
  }
}

/**
 * Memory whose address, once taken with `ptr`, stays good as long as the buffer is referenced. A small
 * typed array made without a buffer has no such address: the engine moves its elements when it pleases.
 */
export function fixedMemory(bytes: number): ArrayBuffer {
  return new ArrayBuffer(bytes);
}

/** A NUL-terminated copy of `text`, for a `const char *` argument (pass it through `ptr`). */
export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(text + "\0");
}

export { CString, FFIType, type Pointer, ptr, toArrayBuffer };
