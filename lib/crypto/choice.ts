// Chooses a supplier for each cryptographic primitive that the credential format needs. lib/primitives lists the suppliers.
import { type Cipher, CIPHERS } from "../credential/cipher.ts";
import { type Mac, MACS } from "../credential/mac.ts";
import type { Cryptography } from "../credential/primitives.ts";
import { MungeError } from "../errors.ts";

/** HMAC with one digest: key and data in, the MAC out in new bytes. */
export type HmacFunction = (key: Uint8Array, data: Uint8Array) => Uint8Array;
/** A digest: data in, the digest out in new bytes. */
export type DigestFunction = (data: Uint8Array) => Uint8Array;
/** One direction of one cipher in CBC, perhaps in place. The lengths of key, IV and data have been checked. */
export type CbcFunction = (key: Uint8Array, iv: Uint8Array, data: Uint8Array) => Uint8Array;
/** Both directions of one cipher in CBC. */
export interface Cbc {
  readonly encrypt: CbcFunction;
  readonly decrypt: CbcFunction;
}

/** A supplier of cryptography. Each function returns undefined for what the supplier can't do. */
export interface CryptographySupplier {
  hmac(mac: Mac): HmacFunction | undefined;
  sha1(): DigestFunction | undefined;
  cbc(cipher: Cipher): Cbc | undefined;
}

/**
 * Makes a {@linkcode Cryptography} that takes each primitive from the first supplier that has it. The choice is made on a
 * primitive's first use and kept; an error of the chosen primitive is never masked by another supplier.
 *
 * The functions of the result throw MungeError: EMUNGE_BAD_MAC for the MAC none, EMUNGE_BAD_CIPHER for the
 * cipher none, EMUNGE_SNAFU for a key, IV or data of a length the cipher can't take.
 */
export function chooseCryptography(...suppliers: readonly CryptographySupplier[]): Cryptography {
  const first = <T>(ask: (supplier: CryptographySupplier) => T | undefined): T | undefined => {
    for (const supplier of suppliers) {
      const answer = ask(supplier);
      if (answer !== undefined) return answer;
    }
    return undefined;
  };
  const hmacs: (HmacFunction | undefined)[] = [];
  const cbcs: (Cbc | undefined)[] = [];
  let sha1: DigestFunction | undefined;

  const chooseHmac = (mac: Mac): HmacFunction => {
    const chosen = mac.length > 0 && MACS[mac.number] === mac
      ? first((supplier) => supplier.hmac(mac))
      : undefined;
    if (chosen === undefined) throw new MungeError("EMUNGE_BAD_MAC");
    return hmacs[mac.number] = chosen;
  };
  const chooseCbc = (cipher: Cipher): Cbc => {
    const chosen = cipher.blockLength > 0 && CIPHERS[cipher.number] === cipher
      ? first((supplier) => supplier.cbc(cipher))
      : undefined;
    if (chosen === undefined) throw new MungeError("EMUNGE_BAD_CIPHER");
    return cbcs[cipher.number] = chosen;
  };
  const cbc = (cipher: Cipher, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Cbc => {
    const chosen = cbcs[cipher.number] ?? chooseCbc(cipher);
    if (
      key.length !== cipher.keyLength || iv.length !== cipher.blockLength ||
      data.length % cipher.blockLength !== 0
    ) {
      throw new MungeError("EMUNGE_SNAFU", "Invalid length of cipher key, IV or data");
    }
    return chosen;
  };

  return {
    hmac: (mac, key, data) => (hmacs[mac.number] ?? chooseHmac(mac))(key, data),
    sha1(data) {
      sha1 ??= first((supplier) => supplier.sha1());
      if (sha1 === undefined) throw new MungeError("EMUNGE_SNAFU", "SHA-1 is not available");
      return sha1(data);
    },
    encryptBlocks: (cipher, key, iv, data) => cbc(cipher, key, iv, data).encrypt(key, iv, data),
    decryptBlocks: (cipher, key, iv, data) => cbc(cipher, key, iv, data).decrypt(key, iv, data),
  };
}
