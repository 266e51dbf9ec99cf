// The door to libc: opens it under the platform's name, reads errno, and turns it into errors.
// Each neighbour in this folder declares the functions it calls; nobody else calls libc.
import type * as bunFfi from "bun:ffi";
import type { FFIFunction, Library, Pointer } from "bun:ffi";

/**
 * What the module bun:ffi wraps. Loading that module takes 0.2 ms of each command and thread, and all it
 * adds for us, since Bun 1.4, is that its dlopen() throws the error that this one returns.
 */
const { CString, dlopen, ptr, read, toArrayBuffer } = (Bun as unknown as {
  FFI:
    & Pick<typeof bunFfi, "CString" | "ptr" | "read" | "toArrayBuffer">
    & {
      dlopen<T extends Record<string, FFIFunction>>(name: string, symbols: T): Library<T> | Error;
    };
}).FFI;

/** The C types that functions of libc take and return. */
const FFIType = {
  i32: "i32",
  i64: "i64",
  u32: "u32",
  u64: "u64",
  ptr: "ptr",
  void: "void",
} as const;

const LIBC: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  linux: [
    "libc.so.6",
    `/lib/ld-musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`,
  ],
  darwin: ["libSystem.B.dylib"],
  freebsd: ["libc.so.7"],
};

const NO_EXECUTABLE_MEMORY =
  "Memory that is both writable and executable is needed, and is refused here: " +
  "allow it by MemoryDenyWriteExecute=no for a service of systemd, by execmem for SELinux";

/** As dlopen(), which makes the code of each call as it goes, and throws where it can't. */
function dlopenWithCode<T extends Record<string, FFIFunction>>(name: string, symbols: T) {
  try {
    return dlopen(name, symbols);
  } catch (cause) {
    throw new Error(NO_EXECUTABLE_MEMORY, { cause });
  }
}

function open<T extends Record<string, FFIFunction>>(symbols: T) {
  let failure = new Error(`No C library is known for ${process.platform}`);
  for (const name of LIBC[process.platform] ?? []) {
    const library = dlopenWithCode(name, symbols);
    if (!(library instanceof Error)) return library.symbols;
    failure = library;
  }
  throw failure;
}

const errnoSymbol = process.platform === "linux" ? "__errno_location" : "__error";
/** What tells of failed calls. It is opened with the first others: once more takes 0.1 ms of each command. */
const failureSymbols = {
  [errnoSymbol]: { args: [], returns: FFIType.ptr },
  strerror: { args: [FFIType.i32], returns: FFIType.ptr },
};
/** errno, whose address is one per thread (every thread loads this file anew), and the texts for it. */
let failures: { readonly errnoCell: Int32Array; strerror(number: number): Pointer } | undefined;

/** The functions of libc named by `symbols`, ready to call. */
export function openLibc<T extends Record<string, FFIFunction>>(symbols: T) {
  if (failures !== undefined) return open(symbols);
  const opened = open({ ...symbols, ...failureSymbols });
  const { [errnoSymbol]: locateErrno, strerror } = opened as unknown as
    & Record<string, () => Pointer>
    & { strerror(number: number): Pointer };
  failures = { errnoCell: new Int32Array(toArrayBuffer(locateErrno!(), 0, 4)), strerror };
  return opened;
}

/** errno of the last libc call of this thread; read it straight after the call. */
export function errno(): number {
  return failures!.errnoCell[0]!;
}

/** Sets errno to 0, for the functions that tell failure from absence only by errno. */
export function clearErrno(): void {
  failures!.errnoCell[0] = 0;
}

/** The system's text for an error number: "No such file or directory". */
export function strerror(number: number): string {
  if (failures === undefined) openLibc({});
  return new CString(failures!.strerror(number)).toString();
}

/** There is no such descriptor. */
export const EBADF = 9;
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

  /** The error number's name, "ENOENT", as errors of node:fs have it. */
  get code(): string {
    return process.getBuiltinModule("node:util").getSystemErrorName(-this.errno);
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

export { CString, FFIType, type Pointer, ptr, read, toArrayBuffer };
