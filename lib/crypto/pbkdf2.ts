// PBKDF2 with HMAC-SHA256 (RFC 8018 section 5.2) on a one-shot digest, because loading node:crypto takes a megabyte of memory,
// and munged's main thread needs it for nothing else.
import { secretBytes } from "../bytes/secret.ts";
import type { DigestInto } from "./hmac.ts";

const BLOCK_LENGTH = 64;
const DIGEST_LENGTH = 32;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

/**
 * Derives bytes from a secret, slowly.
 *
 * @param secret at most 64 bytes; the caller wipes it.
 * @param length of the result: at most 32 bytes, the first block.
 */
export function pbkdf2Sha256(
  sha256: DigestInto,
  secret: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  length: number,
): Uint8Array {
  if (secret.length > BLOCK_LENGTH || length > DIGEST_LENGTH) throw new RangeError("Too long");
  // HMAC is a digest of `outer`, which ends with a digest of `inner`, which ends with the message.
  const first = secretBytes(BLOCK_LENGTH + salt.length + 4).fill(INNER_PAD, 0, BLOCK_LENGTH);
  const outer = secretBytes(BLOCK_LENGTH + DIGEST_LENGTH).fill(OUTER_PAD, 0, BLOCK_LENGTH);
  for (let i = 0; i < secret.length; i++) {
    first[i]! ^= secret[i]!;
    outer[i]! ^= secret[i]!;
  }
  first.set(salt, BLOCK_LENGTH);
  first[first.length - 1] = 1; // the block's number
  const inner = secretBytes(BLOCK_LENGTH + DIGEST_LENGTH);
  inner.set(first.subarray(0, BLOCK_LENGTH));
  const innerDigest = outer.subarray(BLOCK_LENGTH);
  const mac = inner.subarray(BLOCK_LENGTH); // where the next round takes it from
  try {
    sha256(first, innerDigest);
    sha256(outer, mac);
    const words = new Uint32Array(inner.buffer, BLOCK_LENGTH, DIGEST_LENGTH / 4);
    const sum = words.slice();
    for (let round = 1; round < iterations; round++) {
      sha256(inner, innerDigest);
      sha256(outer, mac);
      for (let i = 0; i < words.length; i++) sum[i]! ^= words[i]!;
    }
    return new Uint8Array(sum.buffer).slice(0, length);
  } finally {
    first.fill(0);
    inner.fill(0);
    outer.fill(0);
  }
}
