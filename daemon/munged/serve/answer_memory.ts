// Memory in which answers are made: reused for each one, except for very long ones, which get their own.
import { KeptViews } from "../../../lib/bytes/kept_views.ts";
import { newBytes } from "../../../lib/bytes/memory.ts";
import { permanentMemory } from "../../../lib/os/anonymous_memory.ts";
import { ptr } from "../../../lib/os/libc.ts";

/** Maximum length of an answer in reused memory. */
const LENGTH = 131_072;

/** Memory for one answer at a time. */
export class AnswerMemory {
  readonly #memory = permanentMemory(LENGTH);
  readonly #views = new KeptViews(this.#memory);
  readonly #address: number = ptr(this.#memory);

  /** Memory for an answer, valid until the next one. Throws EMUNGE_NO_MEMORY. */
  allocate(length: number): Uint8Array {
    return length <= LENGTH ? this.#views.first(length) : newBytes(length);
  }

  /** Whether an answer is in the memory that the next one will use. */
  isReused(answer: Uint8Array): boolean {
    return answer.buffer === this.#memory;
  }

  /** The address of an answer. */
  addressOf(answer: Uint8Array): number {
    return this.isReused(answer) ? this.#address : ptr(answer);
  }
}
