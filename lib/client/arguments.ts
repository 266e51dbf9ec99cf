// Converts the arguments of the library's callers to the wire format. A value that the wire format can't express is a
// MungeError here; everything else is left to munged.
import type { CipherName } from "../credential/cipher.ts";
import { ciphers, type Enumeration, macs, zips } from "./enumerations.ts";
import { MungeError, type MungeErrorCode } from "../errors.ts";
import type { MacName } from "../credential/mac.ts";
import { ANY_ID, TTL_MAXIMUM } from "../protocol/message.ts";
import type { ZipName } from "../credential/zip.ts";

const utf8 = new TextEncoder();
const MAX_U8 = 0xff;
const MAX_U32 = 0xffff_ffff;

/** The bytes of a string, or the bytes themselves; `what` names them in the error. */
export function bytesOf(data: string | Uint8Array, what: string): Uint8Array {
  if (typeof data === "string") return utf8.encode(data);
  if (data instanceof Uint8Array) return data;
  throw new MungeError("EMUNGE_BAD_ARG", `${what} is neither a string nor a Uint8Array`);
}

/** A copy of bytes, which the caller may change; a string as it is. */
export function copyOf(data: string | Uint8Array): string | Uint8Array {
  return data instanceof Uint8Array ? new Uint8Array(data) : data; // a Buffer's slice() would not copy
}

/** Number of a cipher. */
export function cipherNumber(cipher: CipherName | number): number {
  return typeNumber(ciphers, cipher, "EMUNGE_BAD_CIPHER", "cipher");
}

/** Number of a MAC. */
export function macNumber(mac: MacName | number): number {
  return typeNumber(macs, mac, "EMUNGE_BAD_MAC", "MAC");
}

/** Number of a compression. */
export function zipNumber(zip: ZipName | number): number {
  return typeNumber(zips, zip, "EMUNGE_BAD_ZIP", "compression");
}

function typeNumber<Name extends string>(
  types: Enumeration<Name>,
  type: Name | number,
  code: MungeErrorCode,
  kind: string,
): number {
  const number = typeof type === "string" ? types.toNumber(type) : type;
  if (!isWithin(number, 0, MAX_U8)) {
    const shown = typeof type === "string" ? `"${type}"` : type;
    throw new MungeError(code, `Invalid ${kind} type ${shown}`);
  }
  return number;
}

/** A time-to-live on the wire: seconds, or -1 for munged's maximum. */
export function ttlNumber(ttl: number): number {
  if (ttl === -1) return TTL_MAXIMUM;
  return unsigned(ttl, "time-to-live");
}

/** The UID or GID of a restriction; undefined means anyone. */
export function restrictionNumber(id: number | undefined, what: "UID" | "GID"): number {
  return id === undefined ? ANY_ID : unsigned(id, `${what} restriction`);
}

/** A 32-bit number; `what` names it in the error. */
export function unsigned(value: number, what: string): number {
  if (!isWithin(value, 0, MAX_U32)) {
    throw new MungeError("EMUNGE_BAD_ARG", `Invalid ${what} ${value}`);
  }
  return value;
}

function isWithin(value: unknown, low: number, high: number): value is number {
  return Number.isInteger(value) && (value as number) >= low && (value as number) <= high;
}
