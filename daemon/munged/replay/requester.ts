// Identifies the process that decoded a credential, in the few bits that a replay entry has for it, to decide whether a
// retry comes from the process whose answer may have been lost. table.ts stores the entries.

/** Bits of a tag. */
export const TAG_BITS = 17;
const TAG_MASK = (1 << TAG_BITS) - 1;
/** The tag of a process that the kernel can't identify; it matches nothing. */
export const NO_TAG = 0;

/** A client's process, as the kernel reports it; its ID is 0 if the process can't be seen from here. */
export interface Requester {
  readonly pid: number;
  readonly uid: number;
}

/**
 * What an entry stores about a process: a keyed hash, so that a user can't work out which process ID would be mistaken for
 * another user's process.
 *
 * @param k0 and `k1` the key, 64 secret random bits.
 * @returns {@linkcode NO_TAG} for a process without an ID, and only then.
 */
export function requesterTag({ pid, uid }: Requester, k0: number, k1: number): number {
  if (pid === 0) return NO_TAG;
  return halfSipHash(k0, k1, pid, uid) & TAG_MASK || 1;
}

/**
 * HalfSipHash-2-4 of 8 bytes, two little-endian words (Aumasson, Bernstein: SipHash, 2012, and its reference
 * implementation, halfsiphash.c): the pseudorandom function of its family for 32-bit arithmetic.
 */
export function halfSipHash(k0: number, k1: number, m0: number, m1: number): number {
  let v0 = k0;
  let v1 = k1;
  let v2 = 0x6c79_6765 ^ k0;
  let v3 = 0x7465_6462 ^ k1;
  const round = () => {
    v0 = (v0 + v1) | 0;
    v1 = rotate(v1, 5) ^ v0;
    v0 = rotate(v0, 16);
    v2 = (v2 + v3) | 0;
    v3 = rotate(v3, 8) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = rotate(v3, 7) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = rotate(v1, 13) ^ v2;
    v2 = rotate(v2, 16);
  };
  const length = 8 << 24;
  for (const word of [m0, m1, length]) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
  v2 ^= 0xff;
  for (let i = 0; i < 4; i++) round();
  return v1 ^ v3;
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
