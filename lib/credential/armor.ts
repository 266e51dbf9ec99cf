// The armor of a credential, "MUNGE:" base64 ":" (docs/protocol.md, "The credential"): adding and removing it.
// seal.ts and open.ts know what the bytes inside mean.
import { base64 as portableBase64 } from "@scure/base";
import { MungeError } from "../errors.ts";

/** What precedes and follows the base64. */
export const ARMOR_PREFIX = "MUNGE:";
export const ARMOR_SUFFIX = ":";

/** In engines since 2025 (TC39 "Uint8Array to/from base64"), but not in Node.js 20. */
interface NativeBase64 {
  toBase64(): string;
}
interface NativeBase64Constructor {
  fromBase64?(text: string, options: { lastChunkHandling: "strict" }): Uint8Array;
}
const native = Uint8Array as unknown as NativeBase64Constructor;
const STRICT = { lastChunkHandling: "strict" } as const;

/** Base64 with padding. */
export const toBase64: (bytes: Uint8Array) => string = native.fromBase64 === undefined
  ? portableBase64.encode
  : (bytes) => (bytes as unknown as NativeBase64).toBase64();

/** Strict base64 (padded, no stray bits), ignoring white space; throws on anything else. */
const fromBase64: (text: string) => Uint8Array = native.fromBase64 === undefined
  ? (text) => portableBase64.decode(text.replace(/[\t-\r ]/g, ""))
  : (text) => native.fromBase64!(text.includes("\v") ? text.replaceAll("\v", "") : text, STRICT);

/** The armored form of a credential's bytes: printable ASCII, without a terminating NUL. */
export function armor(bytes: Uint8Array): string {
  return ARMOR_PREFIX + toBase64(bytes) + ARMOR_SUFFIX;
}

/** Length of the armored form of `length` bytes. */
export function armoredLength(length: number): number {
  return ARMOR_PREFIX.length + Math.ceil(length / 3) * 4 + ARMOR_SUFFIX.length;
}

/**
 * The bytes inside an armored credential.
 *
 * @param text the armored credential, one character per byte.
 * @throws {MungeError} EMUNGE_BAD_ARG if there is nothing but white space, EMUNGE_BAD_CRED if prefix,
 * suffix or base64 is malformed.
 */
export function unarmor(text: string): Uint8Array {
  const start = skipSpace(text);
  if (start === text.length) throw new MungeError("EMUNGE_BAD_ARG", "No credential specified");
  if (!text.startsWith(ARMOR_PREFIX, start)) {
    throw new MungeError("EMUNGE_BAD_CRED", "Failed to match armor prefix");
  }
  const bodyStart = start + ARMOR_PREFIX.length;
  const bodyEnd = text.lastIndexOf(ARMOR_SUFFIX);
  if (bodyEnd < bodyStart) {
    throw new MungeError("EMUNGE_BAD_CRED", "Failed to match armor suffix");
  }
  try {
    return fromBase64(text.slice(bodyStart, bodyEnd));
  } catch {
    throw new MungeError("EMUNGE_BAD_CRED", "Failed to base64-decode credential");
  }
}

/** Index of the first character that C's isspace() does not count as white space. */
function skipSpace(text: string): number {
  let at = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code !== 0x20 && (code < 0x09 || code > 0x0d)) break;
    at++;
  }
  return at;
}
