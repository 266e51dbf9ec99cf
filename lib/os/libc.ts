// Access to libc: opens it under the platform's name, reads errno, and turns it into errors. Each file in this folder
// declares the functions it calls; no other code calls libc.
import type * as bunFfi from "bun:ffi";
import type { FFIFunction, Library, Pointer } from "bun:ffi";

/**
 * The functions that the module bun:ffi wraps. Loading that module takes 0.2 ms in each command and thread, and since
 * Bun 1.4 its only use to us is that its dlopen() throws the error that this one returns.
 */
const { CString, dlopen, ptr, read, toArrayBuffer } = (Bun as unknown as {
  FFI:
    & Pick<typeof bunFfi, "CString" | "ptr" | "read" | "toArrayBuffer">
    & {
      dlopen<T extends Record<string, FFIFunction>>(name: string, symbols: T): Library<T> | Error;
    };
}).FFI;

/** The C types that functions of libc take and return, as numbers of bun:ffi, because names take longer to look up. */
const FFIType = {
  i32: 5,
  u32: 6,
  i64: 7,
  u64: 8,
  ptr: 12,
  void: 13,
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
  "Memory that is both writable and executable is needed, but not allowed here: " +
  "allow it with MemoryDenyWriteExecute=no for a systemd service, or with execmem for SELinux";

let isRefused = false;

/** Whether libc can be called, which requires memory that is both writable and executable. */
export function canCallLibc(): boolean {
  if (errnoCell === undefined) openLibc({});
  return errnoCell !== null;
}

/** Like dlopen(), which generates the code for each function; undefined if it can't. */
function dlopenWithCode<T extends Record<string, FFIFunction>>(name: string, symbols: T) {
  try {
    return dlopen(name, symbols);
  } catch {
    return undefined;
  }
}

/** Stands in for functions that can't be called: each one throws. */
function refuseCalls<T extends Record<string, FFIFunction>>(symbols: T): Library<T>["symbols"] {
  isRefused = true;
  const refuse = () => {
    throw new Error(NO_EXECUTABLE_MEMORY);
  };
  const functions = Object.keys(symbols).map((name) => [name, refuse]);
  return Object.fromEntries(functions) as Library<T>["symbols"];
}

function open<T extends Record<string, FFIFunction>>(symbols: T) {
  let failure = new Error(`No C library is known for ${process.platform}`);
  for (const name of LIBC[process.platform] ?? []) {
    const library = dlopenWithCode(name, symbols);
    if (library === undefined) return refuseCalls(symbols);
    if (!(library instanceof Error)) return library.symbols;
    failure = library;
  }
  throw failure;
}

const errnoSymbol = process.platform === "linux" ? "__errno_location" : "__error";
/**
 * errno, which has a separate address in each thread (every thread loads this file itself); null if libc can't be called.
 * It is located when the first other functions are opened, which saves each command 0.1 ms.
 */
let errnoCell: Int32Array | null | undefined;

/** The functions of libc named by `symbols`, ready to call. */
export function openLibc<T extends Record<string, FFIFunction>>(symbols: T) {
  if (errnoCell !== undefined) return open(symbols);
  const opened = open({ ...symbols, [errnoSymbol]: { args: [], returns: FFIType.ptr } });
  const { [errnoSymbol]: locateErrno } = opened as unknown as Record<string, () => Pointer>;
  errnoCell = isRefused ? null : new Int32Array(toArrayBuffer(locateErrno!(), 0, 4));
  return opened;
}

/** errno of this thread's last libc call; read it immediately after the call. */
export function errno(): number {
  return errnoCell![0]!;
}

/** Sets errno to 0, for functions that distinguish failure from "not found" only by errno. */
export function clearErrno(): void {
  errnoCell![0] = 0;
}

const openTexts = () => openLibc({ strerror: { args: [FFIType.i32], returns: FFIType.ptr } });
let texts: ReturnType<typeof openTexts> | undefined;

/** The system's text for an error number: "No such file or directory". */
export function strerror(number: number): string {
  if (canCallLibc()) texts ??= openTexts();
  return isRefused ? runtimeText(number) : new CString(texts!.strerror(number)!).toString();
}

/** The runtime's text for an error number, capitalized like the system's. */
function runtimeText(number: number): string {
  const { getSystemErrorMap } = process.getBuiltinModule("node:util");
  const text = getSystemErrorMap().get(-number)?.[1] ?? `Unknown error ${number}`;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Invalid descriptor. */
export const EBADF = 9;
/** Interrupted by a signal; the call must be repeated. */
export const EINTR = 4;
/** No data or no room without blocking. */
export const EAGAIN = process.platform === "linux" ? 11 : 35;

/** A libc call that failed: `message` is the system's text alone. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  /** The failed call, such as "open". */
  readonly call: string;
  /** The system's error number. */
  readonly errno: number;

  constructor(call: string, number: number = errno()) {
    super(strerror(number));
    this.call = call;
    this.errno = number;
  }

  /** Name of the error number, such as "ENOENT", as in errors of node:fs. */
  get code(): string {
    return process.getBuiltinModule("node:util").getSystemErrorName(-this.errno);
  }
}

// A typed array that is passed to a function of libc is kept alive, and not moved, until the function returns. An address
// from ptr() guarantees neither: it is only for fixedMemory() that stays referenced.

/**
 * Memory whose address, once taken with `ptr`, stays valid as long as the buffer is referenced. A small typed array created
 * without a buffer has no stable address, because the engine may move its elements at any time.
 */
export function fixedMemory(bytes: number): ArrayBuffer {
  return new ArrayBuffer(bytes);
}

/** A NUL-terminated copy of a text or its bytes, to be passed as a `const char *` (the array itself, not its address). */
export function cString(text: string | Uint8Array): Uint8Array {
  return typeof text === "string"
    ? new TextEncoder().encode(text + "\0")
    : Uint8Array.of(...text, 0);
}

/** The text from `start` up to a NUL, in our own memory, which CString would not keep alive. */
export function textBeforeNul(bytes: Uint8Array, start = 0): string {
  const end = bytes.indexOf(0, start);
  return new TextDecoder().decode(bytes.subarray(start, end < 0 ? bytes.length : end));
}

export { CString, FFIType, type Pointer, ptr, read, toArrayBuffer };
