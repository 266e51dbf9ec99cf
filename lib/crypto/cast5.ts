// CAST-128, alias CAST5 (RFC 2144), with 16-byte keys and so 16 rounds: the key schedule and one block.
import { CAST5_SBOXES } from "./cast5_sboxes.ts";
import type { BlockCipher } from "./cbc.ts";

const ROUNDS = 16;

// The key schedule of RFC 2144 section 2.4, one word per row: "z0 x0 xD xF xC xE 7 x8" stands for
// z0z1z2z3 = x0x1x2x3 ^ S5[xD] ^ S6[xF] ^ S7[xC] ^ S8[xE] ^ S7[x8], and "K - z8 z9 z7 z6 5 z2" for the
// next subkey = S5[z8] ^ S6[z9] ^ S7[z7] ^ S8[z6] ^ S5[z2].
const TO_Z = `
  z0 x0 xD xF xC xE 7 x8
  z4 x8 z0 z2 z1 z3 8 xA
  z8 xC z7 z6 z5 z4 5 x9
  zC x4 zA z9 zB z8 6 xB`;
const TO_X = `
  x0 z8 z5 z7 z4 z6 7 z0
  x4 z0 x0 x2 x1 x3 8 z2
  x8 z4 x7 x6 x5 x4 5 z1
  xC zC xA x9 xB x8 6 z3`;
const SCHEDULE = `
  ${TO_Z}
  K - z8 z9 z7 z6 5 z2
  K - zA zB z5 z4 6 z6
  K - zC zD z3 z2 7 z9
  K - zE zF z1 z0 8 zC
  ${TO_X}
  K - x3 x2 xC xD 5 x8
  K - x1 x0 xE xF 6 xD
  K - x7 x6 x8 x9 7 x3
  K - x5 x4 xA xB 8 x7
  ${TO_Z}
  K - z3 z2 zC zD 5 z9
  K - z1 z0 zE zF 6 zC
  K - z7 z6 z8 z9 7 z2
  K - z5 z4 zA zB 8 z6
  ${TO_X}
  K - x8 x9 x7 x6 5 x3
  K - xA xB x5 x4 6 x7
  K - xC xD x3 x2 7 x8
  K - xE xF x1 x0 8 xD`;

const ROW_CELLS = 8;
const SUBKEY = 255;

/** The tables in computable form. */
interface Tables {
  /** S1..S8: 8 x 256 words. */
  readonly sboxes: Int32Array;
  /** The schedule: rows of 8 cells; x is bytes 0..15 of the state, z is 16..31, and `SUBKEY` is outside it. */
  readonly schedule: Uint8Array;
}

function parseTables(): Tables {
  const words = CAST5_SBOXES.trim().split(/\s+/);
  const cells = SCHEDULE.trim().split(/\s+/).map((cell) => {
    if (cell === "K" || cell === "-") return SUBKEY;
    if (cell.length === 1) return Number(cell);
    return (cell[0] === "z" ? 16 : 0) + parseInt(cell[1]!, 16);
  });
  return {
    sboxes: Int32Array.from(words, (word) => parseInt(word, 16)),
    schedule: Uint8Array.from(cells),
  };
}

let tables: Tables | undefined;

/** Makes the 32 subkeys of a 16-byte key: 16 masking keys, then 16 rotation keys. */
function scheduleKey(key: Uint8Array, { sboxes, schedule }: Tables): Int32Array {
  const subkeys = new Int32Array(2 * ROUNDS);
  const state = new DataView(new ArrayBuffer(32));
  const bytes = new Uint8Array(state.buffer);
  bytes.set(key);
  let made = 0;
  while (made < subkeys.length) {
    for (let row = 0; row < schedule.length; row += ROW_CELLS) {
      const target = schedule[row]!;
      const word = sboxes[4 * 256 + bytes[schedule[row + 2]!]!]! ^
        sboxes[5 * 256 + bytes[schedule[row + 3]!]!]! ^
        sboxes[6 * 256 + bytes[schedule[row + 4]!]!]! ^
        sboxes[7 * 256 + bytes[schedule[row + 5]!]!]! ^
        sboxes[(schedule[row + 6]! - 1) * 256 + bytes[schedule[row + 7]!]!]!;
      if (target === SUBKEY) subkeys[made++] = word;
      else state.setInt32(target, state.getInt32(schedule[row + 1]!) ^ word);
    }
  }
  bytes.fill(0);
  return subkeys;
}

/** Expands a key of exactly 16 bytes. */
export function expandCast5Key(key: Uint8Array): BlockCipher {
  tables ??= parseTables();
  const { sboxes } = tables;
  const subkeys = scheduleKey(key, tables);

  // The three round functions take turns (RFC 2144 section 2.2).
  const f = (round: number, data: number): number => {
    const masking = subkeys[round]!;
    const rotation = subkeys[ROUNDS + round]! & 31;
    const type = round % 3;
    const mixed = type === 0 ? masking + data : type === 1 ? masking ^ data : masking - data;
    const index = mixed << rotation | mixed >>> (32 - rotation);
    const a = sboxes[index >>> 24]!;
    const b = sboxes[256 + (index >>> 16 & 255)]!;
    const c = sboxes[512 + (index >>> 8 & 255)]!;
    const d = sboxes[768 + (index & 255)]!;
    if (type === 0) return (a ^ b) - c + d;
    return type === 1 ? (a - b + c) ^ d : ((a + b) ^ c) - d;
  };

  return {
    encryptBlock(block) {
      let left = block[0]!;
      let right = block[1]!;
      for (let round = 0; round < ROUNDS; round += 2) {
        left ^= f(round, right);
        right ^= f(round + 1, left);
      }
      block[0] = right;
      block[1] = left;
    },
    decryptBlock(block) {
      let right = block[0]!;
      let left = block[1]!;
      for (let round = ROUNDS - 1; round > 0; round -= 2) {
        right ^= f(round, left);
        left ^= f(round - 1, right);
      }
      block[0] = left;
      block[1] = right;
    },
    wipe() {
      subkeys.fill(0);
    },
  };
}
