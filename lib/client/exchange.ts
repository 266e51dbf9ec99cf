// One request and its response over a connection.
import type { Socket } from "node:net";
import type { MessageType } from "../protocol/message.ts";
import { stepError, timeoutError, type TransactionStep } from "../protocol/transaction.ts";
import { onAbort } from "./abort.ts";
import { Receiver } from "./receiver.ts";
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
