// Credentials made and opened directly with the key file's key, without munged.
import { randomFillSync } from "node:crypto";
import { CIPHERS } from "../../lib/credential/cipher.ts";
import { armor, unarmor } from "../../lib/credential/armor.ts";
import { type OpenedCredential, SALT_LENGTH } from "../../lib/credential/fields.ts";
import { openBytes } from "../../lib/credential/open.ts";
import { sealBytes } from "../../lib/credential/seal.ts";
import { primitives } from "../../lib/primitives/executable.ts";
import { keyFingerprint } from "../../lib/keys/ring.ts";
import { deriveSubkeys, type Subkeys, wipeSubkeys } from "../../lib/credential/subkeys.ts";
import { ANY_ID } from "../../lib/protocol/message.ts";

const TTL = 300;

/** The fingerprint of a key. */
export function fingerprintOf(key: Uint8Array): string {
  return withSubkeys(key, keyFingerprint);
}

/**
 * A credential without payload that claims to be made by `uid` and that only `uid` may decode.
 *
 * @param types of a credential that munged itself made: it may refuse others before it tries its keys.
 */
export function sealWith(
  key: Uint8Array,
  uid: number,
  gid: number,
  types: { readonly cipher: number; readonly mac: number },
): string {
  const fields = {
    cipher: types.cipher,
    mac: types.mac,
    zip: 0,
    realm: "",
    originAddress: new Uint8Array(4),
    encodeTime: Math.floor(Date.now() / 1000),
    ttl: TTL,
    uid,
    gid,
    uidRestriction: uid,
    gidRestriction: ANY_ID,
    payload: new Uint8Array(0),
  };
  const random = {
    salt: randomFillSync(new Uint8Array(SALT_LENGTH)),
    iv: randomFillSync(new Uint8Array(CIPHERS[types.cipher]!.blockLength)),
  };
  return withSubkeys(key, (subkeys) => armor(sealBytes(fields, subkeys, random, primitives)));
}

/** The contents of a credential; undefined if it is malformed or was not made with the key. */
export function openWith(key: Uint8Array, text: string): OpenedCredential | undefined {
  try {
    return withSubkeys(key, (subkeys) => openBytes(unarmor(text), [subkeys], primitives));
  } catch {
    return undefined;
  }
}

function withSubkeys<T>(key: Uint8Array, use: (subkeys: Subkeys) => T): T {
  const subkeys = deriveSubkeys(key, primitives);
  try {
    return use(subkeys);
  } finally {
    wipeSubkeys(subkeys);
  }
}
