// Sealing: from fields to the bytes of a credential, version 3 (docs/protocol.md, "The credential"). Pure: key, randomness and
// primitives are arguments. armor.ts adds the armor.
import { copyBytes, newBytes, releaseLarge } from "../bytes/memory.ts";
import { MungeError } from "../errors.ts";
import type { Cipher } from "./cipher.ts";
import { type CredentialFields, MAX_PAYLOAD_LENGTH, type Randomness } from "./fields.ts";
import { compressInner, formatInner } from "./inner.ts";
import { credentialTypes, outerLength, writeOuter } from "./outer.ts";
import type { Primitives } from "./primitives.ts";
import { checkedRealm } from "./realm.ts";
import { dataKey, type Subkeys, wipe } from "./subkeys.ts";
import { ZIPS } from "./zip.ts";

/**
 * Makes a credential: builds, compresses, authenticates and encrypts INNER.
 *
 * @param maxPayload maximum length of the payload.
 * @returns its bytes, without the armor.
 * @throws {MungeError} as {@linkcode credentialTypes} does, EMUNGE_BAD_LENGTH for a payload over
 * `maxPayload`, EMUNGE_BAD_ARG for a realm that OUTER can't hold, EMUNGE_NO_MEMORY.
 */
export function sealBytes(
  fields: CredentialFields,
  subkeys: Subkeys,
  random: Randomness,
  primitives: Primitives,
  maxPayload = MAX_PAYLOAD_LENGTH,
): Uint8Array {
  const { cipher, mac, zip } = credentialTypes(fields.cipher, fields.mac, fields.zip);
  if (fields.payload.length > maxPayload) throw new MungeError("EMUNGE_BAD_LENGTH");
  if (fields.realm !== "") checkedRealm(fields.realm);
  const start = outerLength(cipher, fields.realm);
  const plain = formatInner(fields, start, random.salt);
  const compressed = zip.number === 0 || fields.payload.length === 0
    ? null
    : compressInner(zip, plain, start, primitives);
  const authenticated = compressed ?? plain;
  const iv = cipher.blockLength === random.iv.length
    ? random.iv
    : random.iv.subarray(0, cipher.blockLength);
  writeOuter(authenticated, cipher, mac, compressed === null ? ZIPS[0]! : zip, fields.realm, iv);
  const tag = primitives.hmac(mac, subkeys.mac, authenticated);
  let sealed = paddedInner(authenticated, start, cipher);
  if (cipher.blockLength > 0) {
    const key = dataKey(cipher, mac, subkeys, tag, primitives);
    const padded = sealed;
    sealed = primitives.encryptBlocks(cipher, key, iv, padded);
    if (sealed !== padded) releaseLarge(padded);
    wipe(key);
  }
  const bytes = newBytes(start + mac.length + sealed.length);
  copyBytes(bytes, 0, authenticated, 0, start);
  bytes.set(tag, start);
  bytes.set(sealed, start + mac.length);
  for (const used of [plain, authenticated, sealed]) releaseLarge(used);
  return bytes;
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
