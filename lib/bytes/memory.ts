// Allocations as long as a credential's payload. Another user chooses that length, so an allocation may fail, and
// then the client gets an error.
import { MungeError } from "../errors.ts";
import { SpareMemory } from "./spare_memory.ts";

/** The size from which memory is worth releasing before garbage collection. */
export const LARGE_LENGTH = 65_536;

let spare: SpareMemory | undefined;

/** Makes this thread keep up to `most` bytes of large released memory, for later allocations of that size. */
export function keepSpareMemory(most: number): void {
  spare = new SpareMemory(most);
}

/** How many bytes this thread keeps. */
export function spareMemorySize(): number {
  return spare?.size ?? 0;
}

/** Returns what this thread keeps to the allocator. */
export function dropSpareMemory(): void {
  spare?.drop();
}

/** `length` zero bytes. Throws EMUNGE_NO_MEMORY if they can't be allocated. */
export function newBytes(length: number): Uint8Array {
  try {
    return length > LARGE_LENGTH && spare !== undefined
      ? spare.take(length)
      : new Uint8Array(length);
  } catch (cause) {
    throw noMemory(cause);
  }
}

/** A copy of `bytes`. Throws EMUNGE_NO_MEMORY if it can't be allocated. */
export function copyOf(bytes: Uint8Array, start = 0, end = bytes.length): Uint8Array {
  if (end - start > LARGE_LENGTH) {
    const copy = newBytes(end - start);
    copy.set(bytes.subarray(start, end));
    return copy;
  }
  try {
    return bytes.slice(start, end);
  } catch (cause) {
    throw noMemory(cause);
  }
}

/** Bytes of memory that `bytes` keeps in use. */
export function sizeOf(bytes: Uint8Array): number {
  return bytes.length > LARGE_LENGTH ? bytes.buffer.byteLength : bytes.length;
}

/** Releases the memory of the whole buffer that contains `bytes`; none of it may be used afterwards. */
export function release(bytes: Uint8Array): void {
  const memory = bytes.buffer as ArrayBuffer;
  if (memory.detached || spare?.keep(memory)) return;
  (memory as Partial<ArrayBuffer>).transfer?.(0); // in Node since 21
}

/**
 * Like {@linkcode release}, but only for large memory. A few requests of maximum length would otherwise leave more garbage
 * than a daemon should; and getting at a short array's buffer costs more than its memory is worth.
 */
export function releaseLarge(bytes: Uint8Array): void {
  if (bytes.length > LARGE_LENGTH) release(bytes);
}

/** The error for an allocation that failed. */
export function noMemory(cause: unknown): MungeError {
  return new MungeError("EMUNGE_NO_MEMORY", undefined, { cause });
}

/** Up to this many bytes, a copy is cheaper than a view, for which the engine first moves the whole array. */
export const SHORT_LENGTH = 512;

/** Copies `source` from `start` to `end` into `target` at `at`. */
export function copyBytes(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  start: number,
  end: number,
): void {
  if (end - start > SHORT_LENGTH) target.set(source.subarray(start, end), at);
  else for (let i = start; i < end; i++) target[at + i - start] = source[i]!;
}
