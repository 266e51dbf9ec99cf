// Primitives in TypeScript, for runtimes that lack native ones and to check native results: hashes and AES from
// noble, Blowfish and CAST5 our own.
import { cbc as aesCbc } from "@noble/ciphers/aes.js";
import { hmac as nobleHmac } from "@noble/hashes/hmac.js";
import { md5, ripemd160, sha1 } from "@noble/hashes/legacy.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import type { CipherName } from "../credential/cipher.ts";
import { blockCiphers } from "./block_ciphers.ts";
import type { Cbc, CryptographySupplier } from "./choice.ts";
import type { MacName } from "../credential/mac.ts";

const DIGESTS: { readonly [name in MacName]?: typeof sha256 | typeof sha512 | typeof sha1 } = {
  default: sha256,
  md5,
  sha1,
  ripemd160,
  sha256,
  sha512,
};

const aes: Cbc = {
  encrypt: (key, iv, data) => aesCbc(key, iv, { disablePadding: true }).encrypt(data),
  decrypt: (key, iv, data) => aesCbc(key, iv, { disablePadding: true }).decrypt(data),
};

const CBCS: { readonly [name in CipherName]?: Cbc } = {
  default: aes,
  aes128: aes,
  aes256: aes,
};

/** Supplies every primitive, in plain TypeScript. */
export const portable: CryptographySupplier = {
  hmac(mac) {
    const digest = DIGESTS[mac.name];
    return digest && ((key, data) => nobleHmac(digest, key, data));
  },
  sha1: () => sha1,
  cbc: (cipher) => CBCS[cipher.name] ?? blockCiphers.cbc(cipher),
};
