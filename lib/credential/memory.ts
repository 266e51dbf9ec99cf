// Memory as long as the payload of a credential, which another user chooses: there may be none, and the
// client is to hear that.
import { MungeError } from "../errors.ts";

/** So many bytes, all 0. Throws EMUNGE_NO_MEMORY if there are none. */
export function newBytes(length: number): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw noMemory(cause);
  }
}

/** A copy of some bytes. Throws EMUNGE_NO_MEMORY if there is no room for it. */
export function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  try {
    return bytes.slice(start, end);
  } catch (cause) {
    throw noMemory(cause);
  }
}

/** The error for an allocation that failed. */
export function noMemory(cause: unknown): MungeError {
  return new MungeError("EMUNGE_NO_MEMORY", undefined, { cause });
}
