// mungebox transact: sends one message from standard input to munged, and writes the body of the response to standard
// output. Programs that can't call libc start it (lib/os/libc_fallbacks.ts), so it does not call libc either.
import { readFileSync, writeSync } from "node:fs";
import { transact } from "../lib/client/transact.ts";
import { MungeError } from "../lib/errors.ts";
import { HANGUP } from "../lib/os/libc_fallbacks.ts";
import { isHangup } from "../lib/protocol/transaction.ts";
import type { MessageType } from "../lib/protocol/message.ts";

/**
 * Runs mungebox transact TYPE SOCKET.
 *
 * @returns the exit status: the number of the error whose text, and nothing else, is on standard error.
 */
export async function run(_program: string, [type, socketPath]: readonly string[]) {
  if (type === undefined || socketPath === undefined) {
    throw new MungeError("EMUNGE_BAD_ARG", "A message type and a socket are needed");
  }
  const message = new Uint8Array(readFileSync(0));
  try {
    const body = await transact(socketPath, {
      format: () => message,
      maxPayloadNeeded: 0, // the calling program knows that munged accepts it
      requireFits: () => {},
      isOnce: true,
      responseType: Number(type) as MessageType,
      parse: (bytes) => bytes.slice(),
      viewsBody: false,
    });
    for (let rest = body; rest.length > 0;) rest = rest.subarray(writeSync(1, rest));
    return 0;
  } catch (error) {
    if (!(error instanceof MungeError)) throw error;
    if (isHangup(error)) writeSync(1, HANGUP);
    writeSync(2, error.message);
    return error.errno;
  }
}
