// A supplier of our own block ciphers: Blowfish and CAST5, which few runtimes have natively.
import { expandBlowfishKey } from "./blowfish.ts";
import { expandCast5Key } from "./cast5.ts";
import { cbcOf } from "./cbc.ts";
import type { CipherName } from "../credential/cipher.ts";
import type { Cbc, CryptographySupplier } from "./choice.ts";

const CBCS: { readonly [name in CipherName]?: Cbc } = {
  blowfish: cbcOf(expandBlowfishKey),
  cast5: cbcOf(expandCast5Key),
};

/** Supplies only Blowfish and CAST5, in plain TypeScript. */
export const blockCiphers: CryptographySupplier = {
  hmac: () => undefined,
  sha1: () => undefined,
  cbc: (cipher) => CBCS[cipher.name],
};
