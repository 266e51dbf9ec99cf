// One request and its response over a connection.
import type { Socket } from "node:net";
import type { MungeError } from "../errors.ts";
import { HEADER_LENGTH, type MessageType } from "../protocol/message.ts";
import {
  incompleteError,
  responseLength,
  stepError,
  timeoutError,
  type TransactionStep,
} from "../protocol/transaction.ts";
import { onAbort } from "./abort.ts";
import { systemText } from "./system_error.ts";
import { timerDelay } from "./time_limit.ts";

/** Sends `request` and resolves with the body of the answer. The caller destroys the socket. */
export function exchange(
  socket: Socket,
  request: Uint8Array,
  responseType: MessageType,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const delayMs = timerDelay(timeoutMs);
  return new Promise((resolve, reject) => {
    let step: TransactionStep = "send message";
    let timer: ReturnType<typeof setTimeout> | undefined;
    const restartTimer = () => {
      clearTimeout(timer);
      if (delayMs !== undefined) timer = setTimeout(() => fail(timeoutError(step)), delayMs);
    };
    const receiver = new Receiver(responseType);
    const finish = () => {
      clearTimeout(timer);
      stopListening();
      socket.pause();
    };
    const fail = (error: unknown) => {
      finish();
      reject(error);
    };
    const aborted = () => fail(signal!.reason);
    const stopListening = onAbort(signal, aborted);

    socket.on("error", (error) => fail(stepError(step, systemText(error), error)));
    socket.on("close", () => fail(receiver.incomplete()));
    socket.on("data", (chunk) => {
      try {
        const body = receiver.take(chunk);
        step = receiver.step;
        if (body === undefined) return;
        finish();
        resolve(body);
      } catch (error) {
        fail(error);
      }
    });
    restartTimer();
    socket.write(request, (error) => {
      if (error || step !== "send message") return;
      step = receiver.step;
      restartTimer();
    });
    // Nothing reports events between connecting and this point.
    if (signal?.aborted) aborted();
    else if (socket.destroyed) fail(receiver.incomplete());
  });
}

/** Assembles one response from the pieces that arrive. */
class Receiver {
  readonly #type: MessageType;
  readonly #header = new Uint8Array(HEADER_LENGTH);
  #body: Uint8Array | undefined;
  /** Bytes of the current part that have arrived. */
  #received = 0;

  constructor(type: MessageType) {
    this.#type = type;
  }

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
