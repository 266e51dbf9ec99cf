// Blowfish (B. Schneier, "Description of a New Variable-Length Key, 64-Bit Block Cipher", 1993): the key
// expansion and one block. Its constants are pi's digits and are computed, not listed.
import type { BlockCipher } from "./cbc.ts";

const ROUNDS = 16;
const P_WORDS = ROUNDS + 2;
const S_WORDS = 4 * 256;

let piWords: Int32Array | undefined;

/**
 * The first `count` 32-bit words of pi's fraction: 0x243f6a88, 0x85a308d3, ... Computed with the series of the
 * Chudnovsky brothers, which gives 47 bits per term, by binary splitting.
 */
function fractionOfPi(count: number): Int32Array {
  const bits = BigInt(count * 32 + 64); // two extra words absorb the rounding
  const sum = (from: bigint, to: bigint): [p: bigint, q: bigint, t: bigint] => {
    if (to - from > 1n) {
      const middle = (from + to) / 2n;
      const [p1, q1, t1] = sum(from, middle);
      const [p2, q2, t2] = sum(middle, to);
      return [p1 * p2, q1 * q2, q2 * t1 + p1 * t2];
    }
    const p = from === 0n ? 1n : (6n * from - 5n) * (2n * from - 1n) * (6n * from - 1n);
    const q = from === 0n ? 1n : from ** 3n * (640320n ** 3n / 24n);
    const t = p * (13591409n + 545140134n * from);
    return [p, q, from % 2n === 0n ? t : -t];
  };
  const [, q, t] = sum(0n, bits / 47n + 2n);
  const pi = (426880n * squareRoot(10005n << (2n * bits)) * q) / t;
  const fraction = (pi - (3n << bits)) >> 64n;
  const digits = fraction.toString(16).padStart(count * 8, "0");
  return Int32Array.from({ length: count }, (_, i) => parseInt(digits.slice(i * 8, i * 8 + 8), 16));
}

/** The integer square root, by Newton's method from above. */
function squareRoot(square: bigint): bigint {
  let root = 1n << BigInt(square.toString(16).length * 2);
  for (;;) {
    const next = (root + square / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/** Expands a key of 4 to 56 bytes (MUNGE uses 16). */
export function expandBlowfishKey(key: Uint8Array): BlockCipher {
  piWords ??= fractionOfPi(P_WORDS + S_WORDS);
  const p = piWords.slice(0, P_WORDS);
  const s = piWords.slice(P_WORDS);

  // The F of the paper: a word's four bytes, highest first, each through its own S-box.
  const f = (x: number): number =>
    ((s[x >>> 24]! + s[256 + (x >>> 16 & 255)]!) ^ s[512 + (x >>> 8 & 255)]!) +
      s[768 + (x & 255)]! | 0;

  const encryptBlock = (block: Int32Array): void => {
    let left = block[0]!;
    let right = block[1]!;
    for (let round = 0; round < ROUNDS; round += 2) {
      left ^= p[round]!;
      right ^= f(left);
      right ^= p[round + 1]!;
      left ^= f(right);
    }
    block[0] = right ^ p[ROUNDS + 1]!;
    block[1] = left ^ p[ROUNDS]!;
  };
  const decryptBlock = (block: Int32Array): void => {
    let left = block[0]!;
    let right = block[1]!;
    for (let round = ROUNDS + 1; round > 1; round -= 2) {
      left ^= p[round]!;
      right ^= f(left);
      right ^= p[round - 1]!;
      left ^= f(right);
    }
    block[0] = right ^ p[0]!;
    block[1] = left ^ p[1]!;
  };

  for (let i = 0, at = 0; i < P_WORDS; i++) {
    let word = 0;
    for (let byte = 0; byte < 4; byte++, at++) word = word << 8 | key[at % key.length]!;
    p[i]! ^= word;
  }
  const block = new Int32Array(2);
  for (const table of [p, s]) {
    for (let i = 0; i < table.length; i += 2) {
      encryptBlock(block);
      table.set(block, i);
    }
  }
  block.fill(0);
  return {
    encryptBlock,
    decryptBlock,
    wipe() {
      p.fill(0);
      s.fill(0);
    },
  };
}
