// HMAC (RFC 2104) built on one-shot digests. The runtime's own HMAC allocates an object each time, in memory that is no
// longer in a processor cache, which costs munged 0.7 us more per credential, an eighth of its own work.
import type { HmacFunction } from "./choice.ts";
import { KeptViews } from "../bytes/kept_views.ts";

/** Writes the digest of a whole message to the beginning of `output`. */
export type DigestInto = (message: Uint8Array, output: Uint8Array) => void;

/** Longest data, in bytes, that is cheap to copy. */
const MAX_DATA_LENGTH = 4096;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

/**
 * HMAC for short data under short keys.
 *
 * @param blockLength block length of the digest in bytes.
 * @param otherwise computes HMAC for longer data and keys.
 */
export function hmacFrom(
  digest: DigestInto,
  digestLength: number,
  blockLength: number,
  otherwise: HmacFunction,
): HmacFunction {
  const innerMemory = new ArrayBuffer(blockLength + MAX_DATA_LENGTH);
  const inner = new Uint8Array(innerMemory).fill(INNER_PAD);
  const innerMessages = new KeptViews(innerMemory);
  const outer = new Uint8Array(blockLength + digestLength).fill(OUTER_PAD);
  const innerDigest = new Uint8Array(digestLength);
  return (key, data) => {
    if (key.length > blockLength || data.length > MAX_DATA_LENGTH) return otherwise(key, data);
    const result = new Uint8Array(digestLength);
    try {
      for (let i = 0; i < key.length; i++) {
        inner[i] = key[i]! ^ INNER_PAD;
        outer[i] = key[i]! ^ OUTER_PAD;
      }
      inner.set(data, blockLength);
      digest(innerMessages.first(blockLength + data.length), innerDigest);
      outer.set(innerDigest, blockLength);
      digest(outer, result);
    } finally {
      for (let i = 0; i < key.length; i++) {
        inner[i] = INNER_PAD;
        outer[i] = OUTER_PAD;
      }
    }
    return result;
  };
}
