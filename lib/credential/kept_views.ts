// Views of the beginning of one piece of memory. The engine takes longer to make a view than to do most of
// what is done with one, so those of usual lengths are made once.

/** Longest view that is kept, in bytes: requests and answers without a payload are shorter. */
const KEPT_LENGTH = 1024;

/** Views of one piece of memory, all from the same offset on. */
export class KeptViews {
  readonly #memory: ArrayBuffer;
  readonly #offset: number;
  readonly #kept: (Uint8Array | undefined)[] = new Array(KEPT_LENGTH + 1).fill(undefined);

  constructor(memory: ArrayBuffer, offset = 0) {
    this.#memory = memory;
    this.#offset = offset;
  }

  /** The first `length` bytes. */
  first(length: number): Uint8Array {
    if (length > KEPT_LENGTH) return this.#make(length);
    return this.#kept[length] ??= this.#make(length);
  }

  #make(length: number): Uint8Array {
    return new Uint8Array(this.#memory, this.#offset, length);
  }
}
