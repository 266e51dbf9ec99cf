// The credential, version 3 (docs/protocol.md, "The credential"), as two pure functions: sealCredential() makes
// one, openCredential() authenticates one and reads its fields. munged decides who may decode it, whether it is
// valid now and whether it is a replay (daemon/munged/serve/decode.ts).
import { CIPHERS } from "./cipher.ts";
import type { Cipher } from "./cipher.ts";
import { armor, unarmor } from "./armor.ts";
import { compress, decompress } from "./compression.ts";
import type { Crypto } from "../crypto/choice.ts";
import { MungeError } from "../errors.ts";
import { MACS } from "./mac.ts";
import type { Mac } from "./mac.ts";
import { copyOf, newBytes } from "./memory.ts";
import { type Subkeys, wipe } from "./subkeys.ts";
import { MAX_PAYLOAD_LENGTH } from "../protocol/message.ts";
import { checkedRealm } from "./realm.ts";
import { ZIPS } from "./zip.ts";
import type { Zip } from "./zip.ts";

const VERSION = 3;
/** Bytes of salt in every credential. */
export const SALT_LENGTH = 8;
/** Bytes of the MAC that identify a credential in the replay cache. */
const REPLAY_KEY_LENGTH = 16;
const ADDRESS_LENGTH = 4;
const OUTER_HEAD_LENGTH = 5;
const INNER_HEAD_LENGTH = SALT_LENGTH + 1 + ADDRESS_LENGTH + 28;
const MAX_INNER_LENGTH = INNER_HEAD_LENGTH + MAX_PAYLOAD_LENGTH;
const NO_BYTES = new Uint8Array(0);
/** Up to this many bytes a copy is cheaper than a view, for which the engine first moves the whole array. */
const SHORT = 512;
const COMPRESSED_MAGIC = 0xcaca_caca;
const COMPRESSED_HEAD_LENGTH = 8;

/** The contents of a credential. Types are numbers in the tables, times are seconds since the epoch. */
export interface CredentialFields {
  /** Number of a cipher in {@linkcode CIPHERS}, `default` excluded. */
  readonly cipher: number;
  /** Number of a MAC in {@linkcode MACS}, `none` and `default` excluded. */
  readonly mac: number;
  /** Number of a compression in {@linkcode ZIPS}, `default` excluded. */
  readonly zip: number;
  /** Security realm, at most 254 characters below U+0100; empty for the default one. */
  readonly realm: string;
  /** IPv4 address of the encoding host: 4 bytes, or none if unknown. */
  readonly originAddress: Uint8Array;
  readonly encodeTime: number;
  /** Seconds for which the credential is valid before and after its encode time. */
  readonly ttl: number;
  readonly uid: number;
  readonly gid: number;
  /** The only UID that may decode, or ANY_ID. */
  readonly uidRestriction: number;
  /** The only GID that may decode, or ANY_ID. */
  readonly gidRestriction: number;
  readonly payload: Uint8Array;
}

/** The random bytes of one credential; never reused. */
export interface Randomness {
  /** {@linkcode SALT_LENGTH} bytes. */
  readonly salt: Uint8Array;
  /** At least as many bytes as the cipher's block length; only that many are used. */
  readonly iv: Uint8Array;
}

/** A credential that was verified to be made with the key. */
export interface OpenedCredential extends CredentialFields {
  /** The first {@linkcode REPLAY_KEY_LENGTH} bytes of the MAC, which identify it in the replay cache. */
  readonly replayKey: Uint8Array;
}

/**
 * The cipher, MAC and compression with these numbers, if they can be combined.
 *
 * @throws {MungeError} EMUNGE_BAD_CIPHER, EMUNGE_BAD_MAC or EMUNGE_BAD_ZIP for a number that a
 * credential can't carry, EMUNGE_BAD_MAC for a MAC shorter than the cipher's key.
 */
function credentialTypes(
  cipherNumber: number,
  macNumber: number,
  zipNumber: number,
): { cipher: Cipher; mac: Mac; zip: Zip } {
  const cipher = credentialType(CIPHERS, cipherNumber, "EMUNGE_BAD_CIPHER");
  const mac = credentialType(MACS, macNumber, "EMUNGE_BAD_MAC");
  const zip = credentialType(ZIPS, zipNumber, "EMUNGE_BAD_ZIP");
  requireKeyFrom(mac, cipher);
  return { cipher, mac, zip };
}

const TYPE_WORDS = {
  EMUNGE_BAD_CIPHER: "cipher",
  EMUNGE_BAD_MAC: "MAC",
  EMUNGE_BAD_ZIP: "compression",
} as const;

/** A row of a table that a credential may carry: never `default`, and never the MAC `none`. */
function credentialType<T extends Cipher | Mac | Zip>(
  table: readonly T[],
  number: number,
  code: keyof typeof TYPE_WORDS,
): T {
  const type = table[number];
  if (
    type === undefined || type.name === "default" || (code === "EMUNGE_BAD_MAC" && number === 0)
  ) {
    throw new MungeError(code, `Invalid ${TYPE_WORDS[code]} type ${number}`);
  }
  return type;
}

function requireKeyFrom(mac: Mac, cipher: Cipher): void {
  if (mac.length < cipher.keyLength) {
    throw new MungeError(
      "EMUNGE_BAD_MAC",
      `Invalid MAC type ${mac.number} with cipher type ${cipher.number}`,
    );
  }
}

/**
 * Makes a credential: builds, compresses, authenticates, encrypts and armors INNER.
 *
 * @returns the armored credential, without a terminating NUL.
 * @throws {MungeError} as {@linkcode sealBytes} does.
 */
export function sealCredential(
  fields: CredentialFields,
  subkeys: Subkeys,
  random: Randomness,
  crypto: Crypto,
): string {
  return armor(sealBytes(fields, subkeys, random, crypto));
}

/**
 * As {@linkcode sealCredential}, but without the armor.
 *
 * @throws {MungeError} as {@linkcode credentialTypes} does, EMUNGE_BAD_LENGTH for a payload over
 * MAX_PAYLOAD_LENGTH, EMUNGE_BAD_ARG for a realm that OUTER can't hold, EMUNGE_NO_MEMORY.
 */
export function sealBytes(
  fields: CredentialFields,
  subkeys: Subkeys,
  random: Randomness,
  crypto: Crypto,
): Uint8Array {
  const { cipher, mac, zip } = credentialTypes(fields.cipher, fields.mac, fields.zip);
  if (fields.payload.length > MAX_PAYLOAD_LENGTH) throw new MungeError("EMUNGE_BAD_LENGTH");
  if (fields.realm !== "") checkedRealm(fields.realm);
  const outerLength = OUTER_HEAD_LENGTH + realmLength(fields.realm) + cipher.blockLength;
  const plain = formatPlain(fields, outerLength, random.salt);
  const compressed = zip.number === 0 || fields.payload.length === 0
    ? null
    : compressPlain(zip, plain, outerLength);
  const authenticated = compressed ?? plain;
  const iv = cipher.blockLength === random.iv.length
    ? random.iv
    : random.iv.subarray(0, cipher.blockLength);
  writeOuter(authenticated, cipher, mac, compressed === null ? ZIPS[0]! : zip, fields.realm, iv);
  const tag = crypto.hmac(mac, subkeys.mac, authenticated);
  const sealed = paddedInner(authenticated, outerLength, cipher);
  const encrypted = cipher.blockLength === 0
    ? sealed
    : encryptInner(sealed, cipher, mac, subkeys, tag, iv, crypto);

  const bytes = newBytes(outerLength + mac.length + encrypted.length);
  copyBytes(bytes, 0, authenticated, 0, outerLength);
  bytes.set(tag, outerLength);
  bytes.set(encrypted, outerLength + mac.length);
  return bytes;
}

/**
 * Verifies that a credential was made with one of the keys, and reads it.
 *
 * @param text the armored credential, one character per byte, without a terminating NUL.
 * @param ringOf the keys that may have made a credential of this realm, the most likely first.
 * @returns the fields; the payload is a view of bytes that nothing else refers to.
 * @throws {MungeError} EMUNGE_BAD_ARG, EMUNGE_BAD_CRED, EMUNGE_BAD_VERSION, EMUNGE_BAD_CIPHER,
 * EMUNGE_BAD_MAC or EMUNGE_BAD_ZIP if its bytes fail to parse; EMUNGE_CRED_INVALID if none of the keys made it
 * (bad padding and a bad MAC are the same error); EMUNGE_SNAFU if an authentic credential has an invalid
 * compression header; EMUNGE_NO_MEMORY.
 */
export function openCredential(
  text: string,
  ringOf: (realm: string) => readonly Subkeys[],
  crypto: Crypto,
): OpenedCredential {
  const bytes = unarmor(text);
  const outer = parseOuter(bytes);
  const ring = ringOf(outer.realm);
  for (let i = 0; i < ring.length; i++) {
    const authenticated = authenticatedBytes(bytes, outer, ring[i]!, crypto);
    if (authenticated === null) continue;
    if (outer.zip.number === 0) return parseInner(authenticated, outer.outerLength, outer);
    return parseInner(decompressInner(outer.zip, authenticated, outer.outerLength), 0, outer);
  }
  throw new MungeError("EMUNGE_CRED_INVALID");
}

/** Copies `source` from `start` to `end` into `target` at `at`. */
function copyBytes(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  start: number,
  end: number,
): void {
  if (end - start > SHORT) target.set(source.subarray(start, end), at);
  else for (let i = start; i < end; i++) target[at + i - start] = source[i]!;
}

/** INNER, the end of `authenticated`, padded to whole blocks (PKCS#7, RFC 5652 section 6.3). */
function paddedInner(
  authenticated: Uint8Array,
  start: number,
  { blockLength }: Cipher,
): Uint8Array {
  const length = authenticated.length - start;
  const padding = blockLength === 0 ? 0 : blockLength - (length % blockLength);
  const padded = newBytes(length + padding);
  copyBytes(padded, 0, authenticated, start, authenticated.length);
  for (let i = length; i < padded.length; i++) padded[i] = padding;
  return padded;
}

/** Encrypts whole blocks under the key derived from the MAC. */
function encryptInner(
  padded: Uint8Array,
  cipher: Cipher,
  mac: Mac,
  subkeys: Subkeys,
  tag: Uint8Array,
  iv: Uint8Array,
  crypto: Crypto,
): Uint8Array {
  const dek = dataKey(cipher, mac, subkeys, tag, crypto);
  const encrypted = crypto.encryptBlocks(cipher, dek, iv, padded);
  wipe(dek);
  return encrypted;
}

/**
 * The realm that a credential claims, not yet authenticated.
 *
 * @throws {MungeError} if its bytes fail to parse.
 */
export function claimedRealm(text: string): string {
  return parseOuter(unarmor(text)).realm;
}

/** The data encryption key: HMAC of the MAC, truncated to the cipher's key length; the caller wipes it. */
function dataKey(
  cipher: Cipher,
  mac: Mac,
  subkeys: Subkeys,
  tag: Uint8Array,
  crypto: Crypto,
): Uint8Array {
  const whole = crypto.hmac(mac, subkeys.dek, tag);
  const key = new Uint8Array(cipher.keyLength);
  for (let i = 0; i < key.length; i++) key[i] = whole[i]!;
  wipe(whole);
  return key;
}

/**
 * OUTER and decrypted INNER, as the MAC covers them, if these subkeys made the credential, otherwise null. Bad
 * padding is indistinguishable from a bad MAC: the MAC is computed over whatever came out, and a single
 * comparison decides (Vaudenay 2002).
 */
function authenticatedBytes(
  bytes: Uint8Array,
  outer: Outer,
  subkeys: Subkeys,
  crypto: Crypto,
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
    const dek = dataKey(cipher, mac, subkeys, tag, crypto);
    plain = crypto.decryptBlocks(cipher, dek, iv, blocks);
    wipe(dek);
    padding = validPadding(plain, blockLength);
    intact &= padding === 0 ? 0 : 1;
    // Bad padding counts as the shortest, which a forger hits most often: then as much is authenticated.
    padding ||= 1;
  }
  const innerLength = plain.length - padding;
  const authenticated = newBytes(outerLength + innerLength);
  copyBytes(authenticated, 0, bytes, 0, outerLength);
  copyBytes(authenticated, outerLength, plain, 0, innerLength);
  const expected = crypto.hmac(mac, subkeys.mac, authenticated);
  return (equalInConstantTime(expected, tag) & intact) === 1 ? authenticated : null;
}

/** Length of the PKCS#7 padding at the end of `plain`, 0 if invalid; always looks at a whole block. */
function validPadding(plain: Uint8Array, blockLength: number): number {
  const padding = plain[plain.length - 1]!;
  let wrong = (padding - 1) >>> 8 | (blockLength - padding) >>> 8;
  for (let i = 1; i <= blockLength; i++) {
    const within = ~((padding - i) >> 31); // all ones for the last `padding` bytes, otherwise 0
    wrong |= (plain[plain.length - i]! ^ padding) & within;
  }
  return wrong === 0 ? padding : 0;
}

/** 1 if the two, of the same length, are equal, otherwise 0; takes the same time wherever they differ. */
function equalInConstantTime(a: Uint8Array, b: Uint8Array): number {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0 ? 1 : 0;
}

/** The contents of OUTER, and where it and the MAC end. */
interface Outer {
  readonly cipher: Cipher;
  readonly mac: Mac;
  readonly zip: Zip;
  readonly realm: string;
  /** Bytes of OUTER, the IV included. */
  readonly outerLength: number;
  /** The MAC carried by the credential. */
  readonly tag: Uint8Array;
}

function realmLength(realm: string): number {
  return realm.length === 0 ? 0 : realm.length + 1;
}

function writeOuter(
  bytes: Uint8Array,
  cipher: Cipher,
  mac: Mac,
  zip: Zip,
  realm: string,
  iv: Uint8Array,
): void {
  bytes[0] = VERSION;
  bytes[1] = cipher.number;
  bytes[2] = mac.number;
  bytes[3] = zip.number;
  bytes[4] = realmLength(realm);
  for (let i = 0; i < realm.length; i++) bytes[OUTER_HEAD_LENGTH + i] = realm.charCodeAt(i);
  copyBytes(bytes, OUTER_HEAD_LENGTH + realmLength(realm), iv, 0, cipher.blockLength);
}

function parseOuter(bytes: Uint8Array): Outer {
  const fields = new FieldReader(bytes, 0);
  const version = fields.u8("credential version");
  if (version !== VERSION) {
    throw new MungeError("EMUNGE_BAD_VERSION", `Invalid credential version ${version}`);
  }
  const cipher = credentialType(CIPHERS, fields.u8("cipher type"), "EMUNGE_BAD_CIPHER");
  const mac = credentialType(MACS, fields.u8("MAC type"), "EMUNGE_BAD_MAC");
  requireKeyFrom(mac, cipher);
  const zip = credentialType(ZIPS, fields.u8("compression type"), "EMUNGE_BAD_ZIP");
  const realm = fields.string(fields.u8("security realm length"), "security realm string");
  fields.skip(cipher.blockLength, "cipher IV");
  const outerLength = fields.at;
  const start = fields.skip(mac.length, "MAC");
  const tag = bytes.slice(start, start + mac.length);
  return { cipher, mac, zip, realm, outerLength, tag };
}

/** Unencrypted INNER, after room for OUTER, which the MAC covers as well. */
function formatPlain(fields: CredentialFields, start: number, salt: Uint8Array): Uint8Array {
  const { originAddress, payload } = fields;
  const head = INNER_HEAD_LENGTH - ADDRESS_LENGTH + originAddress.length;
  const bytes = newBytes(start + head + payload.length);
  copyBytes(bytes, start, salt, 0, SALT_LENGTH);
  let at = start + SALT_LENGTH;
  bytes[at] = originAddress.length;
  copyBytes(bytes, at + 1, originAddress, 0, originAddress.length);
  at = putU32(bytes, at + 1 + originAddress.length, fields.encodeTime);
  at = putU32(bytes, at, fields.ttl);
  at = putU32(bytes, at, fields.uid);
  at = putU32(bytes, at, fields.gid);
  at = putU32(bytes, at, fields.uidRestriction);
  at = putU32(bytes, at, fields.gidRestriction);
  at = putU32(bytes, at, payload.length);
  if (payload.length > 0) bytes.set(payload, at);
  return bytes;
}

/** Writes 4 bytes, big-endian. Returns the offset after them. */
function putU32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
  return at + 4;
}

/** Reads INNER, which begins at `start`. */
function parseInner(bytes: Uint8Array, start: number, outer: Outer): OpenedCredential {
  const fields = new FieldReader(bytes, start);
  fields.skip(SALT_LENGTH, "salt");
  const originAddress = fields.bytes(fields.u8("origin IP addr length"), "origin IP addr");
  if (originAddress.length !== 0 && originAddress.length !== ADDRESS_LENGTH) {
    throw new MungeError("EMUNGE_BAD_CRED", "Invalid origin IP addr length");
  }
  return {
    cipher: outer.cipher.number,
    mac: outer.mac.number,
    zip: outer.zip.number,
    realm: outer.realm,
    originAddress,
    encodeTime: fields.u32("encode time"),
    ttl: fields.u32("time-to-live"),
    uid: fields.u32("UID"),
    gid: fields.u32("GID"),
    uidRestriction: fields.u32("UID restriction"),
    gidRestriction: fields.u32("GID restriction"),
    payload: fields.bytes(fields.u32("data length"), "data"),
    replayKey: outer.tag.slice(0, REPLAY_KEY_LENGTH),
  };
}

/** Reads the fields of a credential; when bytes run out, the error names the field. */
class FieldReader {
  readonly #bytes: Uint8Array;
  /** Offset of the next field. */
  at: number;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.at = start;
  }

  /** Skips a field. Returns its offset. */
  skip(length: number, what: string): number {
    const start = this.at;
    if (length > this.#bytes.length - start) {
      throw new MungeError("EMUNGE_BAD_CRED", `Truncated ${what}`);
    }
    this.at = start + length;
    return start;
  }

  /** The bytes of a field: a copy if few, a view if many. */
  bytes(length: number, what: string): Uint8Array {
    const start = this.skip(length, what);
    if (length === 0) return NO_BYTES;
    return length <= SHORT
      ? this.#bytes.slice(start, this.at)
      : this.#bytes.subarray(start, this.at);
  }

  u8(what: string): number {
    return this.#bytes[this.skip(1, what)]!;
  }

  u32(what: string): number {
    const start = this.skip(4, what);
    const bytes = this.#bytes;
    return (bytes[start]! << 24 | bytes[start + 1]! << 16 | bytes[start + 2]! << 8 |
      bytes[start + 3]!) >>> 0;
  }

  /** Characters below U+0100, without a terminating NUL. */
  string(length: number, what: string): string {
    if (length === 0) return "";
    return String.fromCharCode(...this.bytes(length, what)).replace(/\0$/, "");
  }
}

/** `plain` with INNER compressed, after its header, or null if that is not shorter. */
function compressPlain(zip: Zip, plain: Uint8Array, start: number): Uint8Array | null {
  const inner = plain.subarray(start);
  const stream = compress(zip, inner);
  const length = COMPRESSED_HEAD_LENGTH + stream.length;
  if (length >= inner.length) return null;
  const bytes = newBytes(start + length);
  const at = putU32(bytes, putU32(bytes, start, COMPRESSED_MAGIC), inner.length);
  bytes.set(stream, at);
  return bytes;
}

/**
 * The inverse of {@linkcode compressPlain}: INNER alone. The stated length, itself bounded, limits the output.
 */
function decompressInner(zip: Zip, bytes: Uint8Array, start: number): Uint8Array {
  const compressed = bytes.subarray(start);
  const view = new DataView(compressed.buffer, compressed.byteOffset, compressed.byteLength);
  const length = compressed.length >= COMPRESSED_HEAD_LENGTH ? view.getUint32(4) : 0;
  if (length === 0 || length > MAX_INNER_LENGTH || view.getUint32(0) !== COMPRESSED_MAGIC) {
    throw new MungeError("EMUNGE_SNAFU", "Failed to decompress credential");
  }
  return decompress(zip, compressed.subarray(COMPRESSED_HEAD_LENGTH), length);
}
