// Finds the slot of one credential in a segment of a replay table. table.ts changes it.
import { pause } from "./growth.ts";
import { SLOT_WORDS } from "./segments.ts";

/** Result of a search in a segment without an empty slot. */
export const NO_SLOT = -1;

/**
 * How often to pause for a slot that is claimed but not published; after that it counts as the requested credential.
 */
const MAX_PUBLISH_PAUSES = 1_000;

/** A key, and the result of its last search. One object is reused, because each decode needs one. */
export class KeySearch {
  /** The words of the key; the first is never 0. */
  w0 = 0;
  w1 = 0;
  w2 = 0;
  /** Result of the last search: the key's slot, an empty one, or {@linkcode NO_SLOT}. */
  at = NO_SLOT;

  /** Sets the key from its first bytes. */
  setKey(key: Uint8Array): void {
    this.w0 = word(key, 0) || 1;
    this.w1 = word(key, 4);
    this.w2 = word(key, 8);
  }

  /** Sets the key from an entry. */
  setEntry(entry: Int32Array): void {
    this.w0 = entry[0]!;
    this.w1 = entry[1]!;
    this.w2 = entry[2]!;
  }

  /** Start of the search in a segment. */
  start(words: Int32Array): number {
    // Unsigned, so that the remainder is computed with small integers.
    return ((this.w1 & 0x7fff_ffff) % (words.length / SLOT_WORDS | 0)) * SLOT_WORDS;
  }

  /** Looks for the key, in any state. Returns whether it is there. */
  find(words: Int32Array): boolean {
    const end = words.length;
    const w0 = this.w0;
    const start = this.start(words);
    let at = start;
    do {
      const first = Atomics.load(words, at);
      if (first === 0 || (first === w0 && this.#holds(words, at))) {
        this.at = at;
        return first !== 0;
      }
      at += SLOT_WORDS;
      if (at === end) at = 0;
    } while (at !== start);
    this.at = NO_SLOT;
    return false;
  }

  /** Whether the claimed slot at `at` has the key, once its owner has published it. */
  #holds(words: Int32Array, at: number): boolean {
    for (let pauses = 0; Atomics.load(words, at + 3) === 0; pauses++) {
      // Its owner died between claim and publication. Its credential is unknown,
      // and a replay must not pass, so it is treated as the requested one.
      if (pauses === MAX_PUBLISH_PAUSES) return true;
      pause();
    }
    return words[at + 1] === this.w1 && words[at + 2] === this.w2;
  }
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!;
}
