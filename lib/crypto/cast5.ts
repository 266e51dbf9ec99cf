// CAST-128, alias CAST5 (RFC 2144), with 16-byte keys and so 16 rounds: the key schedule and one block.
import { CAST5_SBOXES } from "./cast5_sboxes.ts";
import type { BlockCipher } from "./cbc.ts";
import { hexWords } from "./hex_words.ts";

const ROUNDS = 16;

// The bytes of the key schedule's state: x, initially the key, then z.
// deno-fmt-ignore
const [
  x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, xA, xB, xC, xD, xE, xF,
  z0, z1, z2, z3, z4, z5, z6, z7, z8, z9, zA, zB, zC, zD, zE, zF,
] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
  16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
] as const;
/** Offsets of the S-boxes in {@linkcode CAST5_SBOXES}. */
const [S5, S6, S7, S8] = [4 * 256, 5 * 256, 6 * 256, 7 * 256] as const;

/**
 * A step of the key schedule (RFC 2144 section 2.4) that changes the state: `[z0, x0, xD, xF, xC, xE, S7, x8]` is
 * z0z1z2z3 = x0x1x2x3 ^ S5[xD] ^ S6[xF] ^ S7[xC] ^ S8[xE] ^ S7[x8].
 */
type Mixing = readonly [
  target: number,
  source: number,
  in5: number,
  in6: number,
  in7: number,
  in8: number,
  box: number,
  inBox: number,
];
/** A step that makes a subkey: `[z8, z9, z7, z6, S5, z2]` is S5[z8] ^ S6[z9] ^ S7[z7] ^ S8[z6] ^ S5[z2]. */
type SubkeyDerivation = readonly [
  in5: number,
  in6: number,
  in7: number,
  in8: number,
  box: number,
  inBox: number,
];

const TO_Z: readonly Mixing[] = [
  [z0, x0, xD, xF, xC, xE, S7, x8],
  [z4, x8, z0, z2, z1, z3, S8, xA],
  [z8, xC, z7, z6, z5, z4, S5, x9],
  [zC, x4, zA, z9, zB, z8, S6, xB],
];
const TO_X: readonly Mixing[] = [
  [x0, z8, z5, z7, z4, z6, S7, z0],
  [x4, z0, x0, x2, x1, x3, S8, z2],
  [x8, z4, x7, x6, x5, x4, S5, z1],
  [xC, zC, xA, x9, xB, x8, S6, z3],
];
/** A quarter of sixteen subkeys: changes the state, then makes subkeys from it. */
interface Quarter {
  readonly mixings: readonly Mixing[];
  readonly derivations: readonly SubkeyDerivation[];
}

/** Sixteen subkeys. */
const SCHEDULE: readonly Quarter[] = [
  {
    mixings: TO_Z,
    derivations: [
      [z8, z9, z7, z6, S5, z2],
      [zA, zB, z5, z4, S6, z6],
      [zC, zD, z3, z2, S7, z9],
      [zE, zF, z1, z0, S8, zC],
    ],
  },
  {
    mixings: TO_X,
    derivations: [
      [x3, x2, xC, xD, S5, x8],
      [x1, x0, xE, xF, S6, xD],
      [x7, x6, x8, x9, S7, x3],
      [x5, x4, xA, xB, S8, x7],
    ],
  },
  {
    mixings: TO_Z,
    derivations: [
      [z3, z2, zC, zD, S5, z9],
      [z1, z0, zE, zF, S6, zC],
      [z7, z6, z8, z9, S7, z2],
      [z5, z4, zA, zB, S8, z6],
    ],
  },
  {
    mixings: TO_X,
    derivations: [
      [x8, x9, x7, x6, S5, x3],
      [xA, xB, x5, x4, S6, x7],
      [xC, xD, x3, x2, S7, x8],
      [xE, xF, x1, x0, S8, xD],
    ],
  },
];

let sboxes: Int32Array | undefined;

/** Makes the 32 subkeys of a 16-byte key: 16 masking keys, then 16 rotation keys. */
function scheduleKey(key: Uint8Array, sboxes: Int32Array): Int32Array {
  const subkeys = new Int32Array(2 * ROUNDS);
  const state = new DataView(new ArrayBuffer(32));
  const bytes = new Uint8Array(state.buffer);
  bytes.set(key);
  /** The value of the cells of a row, from `first` on. */
  const word = (row: Mixing | SubkeyDerivation, first: number): number =>
    sboxes[S5 + bytes[row[first]!]!]! ^ sboxes[S6 + bytes[row[first + 1]!]!]! ^
    sboxes[S7 + bytes[row[first + 2]!]!]! ^ sboxes[S8 + bytes[row[first + 3]!]!]! ^
    sboxes[row[first + 4]! + bytes[row[first + 5]!]!]!;
  let made = 0;
  while (made < subkeys.length) {
    for (let quarter = 0; quarter < SCHEDULE.length; quarter++) {
      const { mixings, derivations } = SCHEDULE[quarter]!;
      for (let i = 0; i < mixings.length; i++) {
        const row = mixings[i]!;
        state.setInt32(row[0], state.getInt32(row[1]) ^ word(row, 2));
      }
      for (let i = 0; i < derivations.length; i++) subkeys[made++] = word(derivations[i]!, 0);
    }
  }
  bytes.fill(0);
  return subkeys;
}

/** Expands a key of exactly 16 bytes. */
export function expandCast5Key(key: Uint8Array): BlockCipher {
  const words = sboxes ??= hexWords(CAST5_SBOXES);
  const subkeys = scheduleKey(key, words);

  // The three round functions take turns (RFC 2144 section 2.2).
  const f = (round: number, data: number): number => {
    const masking = subkeys[round]!;
    const rotation = subkeys[ROUNDS + round]! & 31;
    const type = round % 3;
    const mixed = type === 0 ? masking + data : type === 1 ? masking ^ data : masking - data;
    const index = mixed << rotation | mixed >>> (32 - rotation);
    const a = words[index >>> 24]!;
    const b = words[256 + (index >>> 16 & 255)]!;
    const c = words[512 + (index >>> 8 & 255)]!;
    const d = words[768 + (index & 255)]!;
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
