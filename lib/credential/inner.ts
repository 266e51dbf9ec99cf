// INNER, the encrypted part of a credential: salt, origin, times, IDs and payload, and its compressed form
// (docs/protocol.md, "The credential").
import { FieldReader } from "../bytes/field_reader.ts";
import { putU32, readU32 } from "../bytes/integers.ts";
import { copyBytes, newBytes, releaseLarge, SHORT_LENGTH } from "../bytes/memory.ts";
import { MungeError } from "../errors.ts";
import {
  type CredentialFields,
  type OpenedCredential,
  REPLAY_KEY_LENGTH,
  SALT_LENGTH,
} from "./fields.ts";
import { type Outer, truncated } from "./outer.ts";
import type { Compression } from "./primitives.ts";
import type { Zip } from "./zip.ts";

const ADDRESS_LENGTH = 4;
/** Length of INNER without the payload. */
const HEAD_LENGTH = SALT_LENGTH + 1 + ADDRESS_LENGTH + 28;
const COMPRESSED_MAGIC = 0xcaca_caca;
const COMPRESSED_HEAD_LENGTH = 8;

/** Unencrypted INNER, after room for OUTER, which the MAC also covers. */
export function formatInner(fields: CredentialFields, start: number, salt: Uint8Array): Uint8Array {
  const { originAddress, payload } = fields;
  const head = HEAD_LENGTH - ADDRESS_LENGTH + originAddress.length;
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

/**
 * Reads decrypted INNER, which begins at `start`.
 *
 * @param ringIndex of the key that made it.
 */
export function parseInner(
  bytes: Uint8Array,
  start: number,
  outer: Outer,
  ringIndex: number,
): OpenedCredential {
  const fields = new FieldReader(bytes, start, truncated);
  fields.skip(SALT_LENGTH, "salt");
  const originAddress = fields.copy(fields.u8("origin IP addr length"), "origin IP addr");
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
    payload: payloadIn(fields),
    replayKey: outer.tag.slice(0, REPLAY_KEY_LENGTH),
    ringIndex,
  };
}

/** The payload: a copy of a short one, a view of a long one. */
function payloadIn(fields: FieldReader): Uint8Array {
  const length = fields.u32("data length");
  return length <= SHORT_LENGTH ? fields.copy(length, "data") : fields.view(length, "data");
}

/** `plain` with INNER replaced by the compression header and compressed INNER, or null if that is not shorter. */
export function compressInner(
  zip: Zip,
  plain: Uint8Array,
  start: number,
  { compress }: Compression,
): Uint8Array | null {
  const inner = plain.subarray(start);
  const stream = compress(zip, inner);
  const length = COMPRESSED_HEAD_LENGTH + stream.length;
  let bytes: Uint8Array | null = null;
  if (length < inner.length) {
    bytes = newBytes(start + length);
    const at = putU32(bytes, putU32(bytes, start, COMPRESSED_MAGIC), inner.length);
    bytes.set(stream, at);
  }
  releaseLarge(stream);
  return bytes;
}

/**
 * The inverse of {@linkcode compressInner}: INNER alone. The stated length, itself bounded, limits the output.
 *
 * @param maxPayload maximum length of the payload in it.
 * @throws {MungeError} EMUNGE_SNAFU for an invalid compression header, EMUNGE_CRED_INVALID for a bad stream.
 */
export function decompressInner(
  zip: Zip,
  bytes: Uint8Array,
  start: number,
  { decompress }: Compression,
  maxPayload: number,
): Uint8Array {
  const streamStart = start + COMPRESSED_HEAD_LENGTH;
  const length = bytes.length >= streamStart ? readU32(bytes, start + 4) : 0;
  const isPossible = length > 0 && length <= HEAD_LENGTH + maxPayload;
  if (!isPossible || readU32(bytes, start) !== COMPRESSED_MAGIC) {
    throw new MungeError("EMUNGE_SNAFU", "Failed to decompress credential");
  }
  return decompress(zip, bytes.subarray(streamStart), length);
}
