// Assembles one response from the pieces that arrive.
import type { MungeError } from "../errors.ts";
import { HEADER_LENGTH, type MessageType } from "../protocol/message.ts";
import { incompleteError, responseLength, type TransactionStep } from "../protocol/transaction.ts";

/** A response in the making. */
export class Receiver {
  readonly #type: MessageType;
  readonly #header = new Uint8Array(HEADER_LENGTH);
  #body: Uint8Array | undefined;
  /** Bytes of the current part that have arrived. */
  #received = 0;

  /** @param type that the response must have. */
  constructor(type: MessageType) {
    this.#type = type;
  }

  /** What is being received. */
  get step(): TransactionStep {
    return this.#body === undefined ? "receive message header" : "receive message body";
  }

  /** Takes a piece. Returns the body once complete, ignoring bytes after it. Throws for a bad header. */
  take(piece: Uint8Array): Uint8Array | undefined {
    let rest = piece;
    if (this.#body === undefined) {
      rest = this.#fill(this.#header, rest);
      if (this.#received < HEADER_LENGTH) return undefined;
      this.#body = new Uint8Array(responseLength(this.#header, this.#type));
      this.#received = 0;
    }
    this.#fill(this.#body, rest);
    return this.#received === this.#body.length ? this.#body : undefined;
  }

  /** The error for a response that ends here. */
  incomplete(): MungeError {
    return this.#body === undefined
      ? incompleteError("header", this.#received, HEADER_LENGTH)
      : incompleteError("body", this.#received, this.#body.length);
  }

  /** Continues filling `target`. Returns the rest of `piece`. */
  #fill(target: Uint8Array, piece: Uint8Array): Uint8Array {
    const taken = piece.subarray(0, target.length - this.#received);
    target.set(taken, this.#received);
    this.#received += taken.length;
    return piece.subarray(taken.length);
  }
}
