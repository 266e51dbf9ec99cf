// Opening: finds the key that made a credential, and reads the fields from its bytes (docs/protocol.md, "The credential").
// Pure. munged decides who may decode it, whether it is valid now and whether it is a replay
// (daemon/munged/serve/decode.ts).
import { copyBytes, copyOf, newBytes, releaseLarge } from "../bytes/memory.ts";
import { MungeError } from "../errors.ts";
import { MAX_PAYLOAD_LENGTH, type OpenedCredential } from "./fields.ts";
import { decompressInner, parseInner } from "./inner.ts";
import type { Mac } from "./mac.ts";
import { type Outer, parseOuter } from "./outer.ts";
import type { Primitives } from "./primitives.ts";
import { dataKey, type Subkeys, wipe } from "./subkeys.ts";

/**
 * Verifies that a credential was made with one of the keys, and reads it.
 *
 * @param bytes the credential without its armor.
 * @param ring the keys that may have made it, the most likely first.
 * @param maxPayload maximum length of a payload after decompression; any other is limited by the credential's length.
 * @returns the fields; the payload is a view of bytes that nothing else refers to.
 * @throws {MungeError} EMUNGE_BAD_CRED, EMUNGE_BAD_VERSION, EMUNGE_BAD_CIPHER, EMUNGE_BAD_MAC or EMUNGE_BAD_ZIP if its bytes
 * fail to parse, and as {@linkcode openParsed} does.
 */
export function openBytes(
  bytes: Uint8Array,
  ring: readonly Subkeys[],
  primitives: Primitives,
  maxPayload = MAX_PAYLOAD_LENGTH,
): OpenedCredential {
  return openParsed(bytes, parseOuter(bytes), ring, primitives, maxPayload);
}

/**
 * Like {@linkcode openBytes}, for a caller that first decides from OUTER which keys to try, if any.
 *
 * @throws {MungeError} EMUNGE_CRED_INVALID if none of the keys made it (bad padding and a bad MAC are the same error);
 * EMUNGE_SNAFU if an authentic credential has an invalid compression header; EMUNGE_NO_MEMORY.
 */
export function openParsed(
  bytes: Uint8Array,
  outer: Outer,
  ring: readonly Subkeys[],
  primitives: Primitives,
  maxPayload = MAX_PAYLOAD_LENGTH,
): OpenedCredential {
  const { zip, outerLength } = outer;
  for (let i = 0; i < ring.length; i++) {
    const authenticated = authenticatedBytes(bytes, outer, ring[i]!, primitives);
    if (authenticated === null) continue;
    if (zip.number === 0) return parseInner(authenticated, outerLength, outer, i);
    const inner = decompressInner(zip, authenticated, outerLength, primitives, maxPayload);
    releaseLarge(authenticated);
    return parseInner(inner, 0, outer, i);
  }
  throw new MungeError("EMUNGE_CRED_INVALID");
}

/**
 * OUTER and decrypted INNER, as the MAC covers them, if these subkeys made the credential, otherwise null. Neither the
 * result nor the time it takes distinguishes bad padding from a bad MAC (Vaudenay 2002; Lucky Thirteen 2013).
 */
function authenticatedBytes(
  bytes: Uint8Array,
  outer: Outer,
  subkeys: Subkeys,
  primitives: Primitives,
): Uint8Array | null {
  const { cipher, mac, tag, outerLength } = outer;
  const { blockLength } = cipher;
  const start = outerLength + mac.length;
  const length = bytes.length - start;
  const whole = blockLength === 0 ? length : length - (length % blockLength);
  const blocks = copyOf(bytes, start, start + whole);
  let intact = whole === length && (blockLength === 0 || whole > 0) ? 1 : 0;
  let plain: Uint8Array = blocks;
  let padding = 0;
  if (blockLength > 0 && whole > 0) {
    const iv = bytes.slice(outerLength - blockLength, outerLength);
    const key = dataKey(cipher, mac, subkeys, tag, primitives);
    plain = primitives.decryptBlocks(cipher, key, iv, blocks);
    wipe(key);
    if (plain !== blocks) releaseLarge(blocks);
    padding = validPadding(plain, blockLength);
    intact &= padding === 0 ? 0 : 1;
    padding ||= 1; // even if the padding is bad, the MAC is computed
  }
  const authenticated = withOuter(bytes, outerLength, plain, plain.length - padding);
  const expected = primitives.hmac(mac, subkeys.mac, authenticated);
  if ((equalInConstantTime(expected, tag) & intact) === 1) {
    releaseLarge(plain);
    return authenticated;
  }
  if (padding > 0) {
    // The padding determines how many bytes the MAC covers. Before each refusal, another MAC is computed, over a length that
    // compensates for the difference.
    const longest = plain.length - 1;
    const shortest = plain.length - blockLength;
    const other = isShort(authenticated.length, outerLength + shortest, mac) ? longest : shortest;
    const covered = withOuter(bytes, outerLength, plain, other);
    primitives.hmac(mac, subkeys.mac, covered);
    releaseLarge(covered);
  }
  releaseLarge(authenticated);
  releaseLarge(plain);
  return null;
}

/** OUTER and the first `length` bytes of `plain`. */
function withOuter(
  bytes: Uint8Array,
  outerLength: number,
  plain: Uint8Array,
  length: number,
): Uint8Array {
  const joined = newBytes(outerLength + length);
  copyBytes(joined, 0, bytes, 0, outerLength);
  copyBytes(joined, outerLength, plain, 0, length);
  return joined;
}

/** Whether the MAC's digest takes as many blocks for `length` bytes as for the shortest length. */
function isShort(length: number, shortest: number, mac: Mac): boolean {
  return digestBlocks(length, mac) === digestBlocks(shortest, mac);
}

/** Number of blocks a digest processes: the message, one bit, and its length (RFC 6234 section 4). */
function digestBlocks(length: number, { digestBlockLength }: Mac): number {
  return Math.ceil((length + 1 + digestBlockLength / 8) / digestBlockLength);
}

/** Length of the PKCS#7 padding at the end of `plain`, 0 if invalid; always examines a whole block. */
function validPadding(plain: Uint8Array, blockLength: number): number {
  const padding = plain[plain.length - 1]!;
  let wrong = (padding - 1) >>> 8 | (blockLength - padding) >>> 8;
  for (let i = 1; i <= blockLength; i++) {
    const within = ~((padding - i) >> 31); // all ones for the last `padding` bytes, otherwise 0
    wrong |= (plain[plain.length - i]! ^ padding) & within;
  }
  return wrong === 0 ? padding : 0;
}

/** 1 if two arrays of the same length are equal, otherwise 0; takes the same time wherever they differ. */
function equalInConstantTime(a: Uint8Array, b: Uint8Array): number {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0 ? 1 : 0;
}
