// The cryptography and compression that the credential format needs. lib/crypto and lib/compression implement them;
// lib/primitives combines the implementations.
import type { Cipher } from "./cipher.ts";
import type { Mac } from "./mac.ts";
import type { Zip } from "./zip.ts";

/**
 * The cryptography of the credential format. Pure: same arguments, same bytes. Results may be Buffers, whose slice() shares
 * memory, so call subarray() instead.
 */
export interface Cryptography {
  /** HMAC (RFC 2104) over `data`: `mac.length` new bytes. */
  hmac(mac: Mac, key: Uint8Array, data: Uint8Array): Uint8Array;
  /** SHA-1 (for the subkeys of subkeys.ts): 20 new bytes. */
  sha1(data: Uint8Array): Uint8Array;
  /**
   * CBC over whole blocks, without padding: as many bytes as `data` has, in new memory or, if `data` is long, in its memory,
   * so that the caller must no longer use it.
   */
  encryptBlocks(cipher: Cipher, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  /** The inverse of {@linkcode encryptBlocks}. */
  decryptBlocks(cipher: Cipher, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
}

/** The compression of the credential format: bare zlib and bzip2 streams. Pure, like {@linkcode Cryptography}. */
export interface Compression {
  /**
   * Compresses `data`: zlib at its default level, bzlib at level 9.
   *
   * @returns the stream, which may be longer than the data.
   * @throws {MungeError} EMUNGE_BAD_ZIP for a type that does not compress, or that has no implementation here.
   */
  compress(zip: Zip, data: Uint8Array): Uint8Array;
  /**
   * The inverse of {@linkcode compress}. `bound` comes from the credential, so the caller must limit it: about that many
   * bytes are allocated, and never more are produced.
   *
   * @returns at most `bound` bytes.
   * @throws {MungeError} EMUNGE_BAD_ZIP as {@linkcode compress} does, EMUNGE_CRED_INVALID for a stream that is damaged,
   * truncated or too long.
   */
  decompress(zip: Zip, stream: Uint8Array, bound: number): Uint8Array;
}

/** All primitives for sealing and opening credentials. */
export interface Primitives extends Cryptography, Compression {}
