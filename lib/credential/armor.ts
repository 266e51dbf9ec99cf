// The armor of a credential, "MUNGE:" base64 ":" (docs/protocol.md, "The credential"): adding and removing it.
// credential.ts knows what the bytes inside mean.
import { base64 as portableBase64 } from "@scure/base";
import { MungeError } from "../errors.ts";

const PREFIX = "MUNGE:";
const SUFFIX = ":";

/** In engines since 2025 (TC39 "Uint8Array to/from base64"), but not in Node.js 20. */
interface NativeBase64 {
  toBase64(): string;
}
interface NativeBase64Constructor {
  fromBase64?(text: string, options: { lastChunkHandling: "strict" }): Uint8Array;
}
const native = Uint8Array as unknown as NativeBase64Constructor;
const STRICT = { lastChunkHandling: "strict" } as const;

const toBase64: (bytes: Uint8Array) => string = native.fromBase64 === undefined
  ? portableBase64.encode
  : (bytes) => (bytes as unknown as NativeBase64).toBase64();

/** Strict base64 (padded, no stray bits), ignoring white space; throws on anything else. */
const fromBase64: (text: string) => Uint8Array = native.fromBase64 === undefined
  ? (text) => portableBase64.decode(text.replace(/[\t-\r ]/g, ""))
  : (text) => native.fromBase64!(text.includes("\v") ? text.replaceAll("\v", "") : text, STRICT);

/** Every runtime has it, for any Uint8Array. Unlike TextEncoder, it does not need a view. */
const { latin1Write } = Buffer.prototype as unknown as {
  latin1Write(this: Uint8Array, text: string, at: number): number;
};

/** The armored form of a credential's bytes: printable ASCII, without a terminating NUL. */
export function armor(bytes: Uint8Array): string {
  return PREFIX + toBase64(bytes) + SUFFIX;
}

/** Length of the armored form of `length` bytes. */
export function armoredLength(length: number): number {
  return PREFIX.length + Math.ceil(length / 3) * 4 + SUFFIX.length;
}

/** Writes the armored form of a credential's bytes to `target`, starting at `at`. */
export function writeArmor(bytes: Uint8Array, target: Uint8Array, at: number): void {
  latin1Write.call(target, PREFIX, at);
  const text = toBase64(bytes);
  latin1Write.call(target, text, at + PREFIX.length);
  latin1Write.call(target, SUFFIX, at + PREFIX.length + text.length);
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
  if (!text.startsWith(PREFIX, start)) {
    throw new MungeError("EMUNGE_BAD_CRED", "Failed to match armor prefix");
  }
  const bodyStart = start + PREFIX.length;
  const bodyEnd = text.lastIndexOf(SUFFIX);
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
