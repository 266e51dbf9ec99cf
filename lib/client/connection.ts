// Connects to munged's socket, with the retries and pauses of lib/protocol/retry.ts.
import { stat } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { MungeError } from "../errors.ts";
import { connectPause, MAX_CONNECT_TRIES } from "../protocol/retry.ts";
import {
  accessError,
  connectError,
  fitsSocketAddress,
  overlongPathError,
  requireSocket,
  requireSocketName,
} from "../protocol/transaction.ts";
import { onAbort, pause } from "./abort.ts";
import { codeOf, systemText } from "./system_error.ts";
import { Deadline } from "./time_limit.ts";

/**
 * Temporary errors of connecting: a full listen queue, or a daemon that is being restarted. Node.js reports the latter as a
 * reset if the connection was already in the queue; and for a moment there is no socket.
 */
const PASSING: ReadonlySet<string | undefined> = new Set([
  "EAGAIN",
  "ECONNREFUSED",
  "ECONNRESET",
  "ENOENT",
]);

/** How long to try connecting. */
export interface ConnectOptions {
  /** Whether to wait for a missing socket as long as for one that refuses connections. */
  readonly waitForSocket: boolean;
  readonly signal: AbortSignal | undefined;
}

/**
 * A connected socket. Why there is none is determined only when connecting fails. If a deadline passes during the retries,
 * that reason is the error.
 */
export async function connectTo(
  path: string,
  { waitForSocket, signal }: ConnectOptions,
): Promise<Socket> {
  requireSocketName(path);
  if (!fitsSocketAddress(path)) throw overlongPathError();
  for (let failures = 0;;) {
    signal?.throwIfAborted();
    let failure: MungeError;
    try {
      return await connectOnce(path, signal);
    } catch (error) {
      signal?.throwIfAborted();
      failure = await explain(path, error);
      // A file that is not a socket also refuses connections, but permanently.
      const isPassing = PASSING.has(codeOf(error)) && failure.cause !== undefined &&
        (waitForSocket || codeOf(failure.cause) !== "ENOENT");
      if (!isPassing || ++failures >= MAX_CONNECT_TRIES) throw failure;
    }
    await pause(connectPause(failures), signal).catch((reason) => {
      throw reason instanceof Deadline ? failure : reason;
    });
  }
}

/** The error for a failed connect(): the problem with the path, if there is one, otherwise the system's error. */
async function explain(path: string, error: unknown): Promise<MungeError> {
  try {
    requireSocket(path, (await stat(path)).isSocket());
  } catch (cause) {
    return cause instanceof MungeError
      ? cause
      : accessError(path, systemText(cause), cause as NodeJS.ErrnoException);
  }
  return connectError(path, systemText(error), error);
}

function connectOnce(path: string, signal: AbortSignal | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.on("error", () => {}); // an error without another listener must not end the process
    const settle = (settled: () => void) => {
      socket.off("connect", connected);
      socket.off("error", failed);
      stopListening();
      settled();
    };
    const connected = () => settle(() => resolve(socket));
    const failed = (error: unknown) =>
      settle(() => {
        socket.destroy();
        reject(error);
      });
    const stopListening = onAbort(signal, () => failed(signal!.reason));
    socket.on("connect", connected);
    socket.on("error", failed);
  });
}
