// Views of the beginning of one piece of memory. Making a view takes the engine longer than most uses of it, so
// views of usual lengths are made once.

/** Length in bytes of the longest view kept; requests and answers without a payload are shorter. */
const KEPT_LENGTH = 1024;

/** Views of one piece of memory, all starting at the same offset. */
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
