// Seeded random numbers, and damage to bytes that keeps most of their structure.

/** A source of random numbers, reproducible by seed (splitmix32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** A number from 0 up to, and not including, `limit`. */
  below(limit: number): number {
    this.#state = this.#state + 0x9e37_79b9 | 0;
    let mixed = this.#state ^ this.#state >>> 16;
    mixed = Math.imul(mixed, 0x21f0_aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a_2d97);
    return ((mixed ^ mixed >>> 15) >>> 0) % limit;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

/** Numbers at the ends of ranges. */
const EDGES = [
  0,
  1,
  2,
  0x7f,
  0x80,
  0xff,
  0x100,
  0x7fff,
  0xffff,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_ffff,
];

type Mutation = (bytes: Uint8Array, random: Random, corpus: readonly Uint8Array[]) => Uint8Array;

/** A position in the bytes, including the end. */
const place = (bytes: Uint8Array, random: Random) => random.below(bytes.length + 1);

function replace(bytes: Uint8Array, from: number, to: number, by: Uint8Array): Uint8Array {
  return Uint8Array.from(Buffer.concat([bytes.subarray(0, from), by, bytes.subarray(to)]));
}

/** Changes bytes in place; does nothing if there are none. */
function inPlace(change: (bytes: Uint8Array, random: Random) => void): Mutation {
  return (bytes, random) => {
    const copy = bytes.slice();
    if (copy.length > 0) change(copy, random);
    return copy;
  };
}

const MUTATIONS: readonly Mutation[] = [
  inPlace((bytes, random) => bytes[random.below(bytes.length)]! ^= 1 << random.below(8)),
  inPlace((bytes, random) => bytes[random.below(bytes.length)] = random.below(256)),
  inPlace((bytes, random) => bytes[random.below(bytes.length)]! += random.of([1, 255])),
  // A length or a number, of 2 or 4 bytes.
  inPlace((bytes, random) => {
    const at = random.below(bytes.length);
    const value = random.of(EDGES);
    const width = Math.min(random.of([2, 4]), bytes.length - at);
    for (let i = 0; i < width; i++) bytes[at + i] = value >>> 8 * (width - 1 - i);
  }),
  (bytes, random) => bytes.slice(0, place(bytes, random)),
  (bytes, random) => bytes.slice(place(bytes, random)),
  (bytes, random) => {
    const from = place(bytes, random);
    return replace(
      bytes,
      from,
      Math.min(bytes.length, from + 1 + random.below(8)),
      new Uint8Array(0),
    );
  },
  (bytes, random) => {
    const at = place(bytes, random);
    const piece = Uint8Array.from({ length: 1 + random.below(8) }, () => random.below(256));
    return replace(bytes, at, at, piece);
  },
  // A part of the bytes repeated, or replaced by part of another input.
  (bytes, random) => {
    const from = place(bytes, random);
    const piece = bytes.subarray(from, from + random.below(64));
    const at = place(bytes, random);
    return replace(bytes, at, at, piece);
  },
  (bytes, random, corpus) => {
    const other = random.of(corpus);
    const from = place(other, random);
    const piece = other.subarray(from, from + random.below(64));
    const at = place(bytes, random);
    return replace(bytes, at, Math.min(bytes.length, at + piece.length), piece);
  },
];

/**
 * Returns one input of the corpus with some damage.
 *
 * @param corpus at least one valid input.
 * @param random source of the choices.
 * @param tokens texts with a meaning to the parser.
 */
export function mutate(
  corpus: readonly Uint8Array[],
  random: Random,
  tokens: readonly string[] = [],
): Uint8Array {
  let bytes = random.of(corpus);
  for (let left = 1 + random.below(4); left > 0; left--) {
    if (tokens.length > 0 && random.below(2) === 0) {
      const at = place(bytes, random);
      bytes = replace(bytes, at, at, Buffer.from(random.of(tokens), "latin1"));
    } else bytes = random.of(MUTATIONS)(bytes, random, corpus);
  }
  return bytes;
}
