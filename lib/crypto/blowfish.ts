// Blowfish (B. Schneier, "Description of a New Variable-Length Key, 64-Bit Block Cipher", 1993): the key
// expansion and one block.
import { BLOWFISH_P, BLOWFISH_S } from "./blowfish_tables.ts";
import type { BlockCipher } from "./cbc.ts";
import { hexWords } from "./hex_words.ts";

const ROUNDS = 16;

let tables: { readonly p: Int32Array; readonly s: Int32Array } | undefined;

/** Expands a key of 4 to 56 bytes (MUNGE uses 16). */
export function expandBlowfishKey(key: Uint8Array): BlockCipher {
  tables ??= { p: hexWords(BLOWFISH_P), s: hexWords(BLOWFISH_S) };
  const p = tables.p.slice();
  const s = tables.s.slice();

  // The function F of the paper: a word's four bytes, highest first, each through its own S-box.
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

  for (let i = 0, at = 0; i < p.length; i++) {
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
