// The table of message authentication codes: HMAC with each digest. The implementations are in
// lib/crypto/native.ts and lib/crypto/portable.ts.

/** One MAC of the credential format (docs/protocol.md, "Numbers"). */
export interface Mac {
  /** Number on the wire. */
  readonly number: number;
  /** Name on the command line. */
  readonly name: MacName;
  /** Bytes in the MAC; 0 for none. */
  readonly length: number;
  /** Block length of its digest in bytes; 0 for none. */
  readonly digestBlockLength: number;
}

/** Name of a MAC; `none` is never valid, and `default` requests {@linkcode DEFAULT_MAC}. */
export type MacName = "none" | "default" | "md5" | "sha1" | "ripemd160" | "sha256" | "sha512";

/** All MACs; the index is the number. */
export const MACS: readonly Mac[] = [
  { number: 0, name: "none", length: 0, digestBlockLength: 0 },
  { number: 1, name: "default", length: 32, digestBlockLength: 64 },
  { number: 2, name: "md5", length: 16, digestBlockLength: 64 },
  { number: 3, name: "sha1", length: 20, digestBlockLength: 64 },
  { number: 4, name: "ripemd160", length: 20, digestBlockLength: 64 },
  { number: 5, name: "sha256", length: 32, digestBlockLength: 64 },
  { number: 6, name: "sha512", length: 64, digestBlockLength: 128 },
];

/** Number that requests the default MAC. */
export const MAC_DEFAULT = 1;
/** The MAC that `default` means: sha256. */
export const DEFAULT_MAC = MACS[5]!;
