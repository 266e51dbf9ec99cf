// The table of ciphers: numbers, names and sizes. The implementations are in lib/crypto/native.ts,
// lib/crypto/portable.ts and lib/crypto/block_ciphers.ts.

/** One cipher of the credential format (docs/protocol.md, "Numbers"). All run in CBC with PKCS#7 padding. */
export interface Cipher {
  /** Number on the wire. */
  readonly number: number;
  /** Name on the command line. */
  readonly name: CipherName;
  /** Bytes in a block, and so in the IV; 0 for none. */
  readonly blockLength: number;
  /** Bytes in a key; 0 for none. */
  readonly keyLength: number;
}

/** Name of a cipher; `default` requests {@linkcode DEFAULT_CIPHER} and never appears in a credential. */
export type CipherName = "none" | "default" | "blowfish" | "cast5" | "aes128" | "aes256";

/** All ciphers; the index is the number. */
export const CIPHERS: readonly Cipher[] = [
  { number: 0, name: "none", blockLength: 0, keyLength: 0 },
  { number: 1, name: "default", blockLength: 16, keyLength: 16 },
  { number: 2, name: "blowfish", blockLength: 8, keyLength: 16 },
  { number: 3, name: "cast5", blockLength: 8, keyLength: 16 },
  { number: 4, name: "aes128", blockLength: 16, keyLength: 16 },
  { number: 5, name: "aes256", blockLength: 16, keyLength: 32 },
];

/** Number that requests the default cipher. */
export const CIPHER_DEFAULT = 1;
/** The cipher that `default` means: aes128. */
export const DEFAULT_CIPHER = CIPHERS[4]!;
