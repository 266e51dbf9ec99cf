// The asynchronous client: one transaction with munged over node:net, for Bun, Deno and Node.js. The rules are in retry.ts,
// the texts in transaction.ts; the commands use a blocking client of their own.
import { stat } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { onAbort, pause } from "./abort.ts";
import { atSocket, MungeError } from "../errors.ts";
import { Gate } from "./gate.ts";
import { HEADER_LENGTH, MESSAGE_TIMEOUT_MS, type MessageType } from "../protocol/message.ts";
import {
  connectPause,
  isRetryable,
  MAX_CONNECT_TRIES,
  MAX_TRANSACTIONS,
  transactionPause,
} from "../protocol/retry.ts";
import {
  accessError,
  connectError,
  fitsSocketAddress,
  incompleteError,
  overlongPathError,
  requireSocket,
  requireSocketName,
  responseLength,
  stepError,
  timeoutError,
  type Transaction,
  type TransactionStep,
} from "../protocol/transaction.ts";

/** How a transaction may be ended early. */
export interface TransactOptions {
  /** Ends the transaction: it rejects with the signal's reason, and its connection is closed. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole transaction, including tries and pauses; no limit unless given. */
  readonly timeoutMs?: number | undefined;
  /** Milliseconds for each message, sent or received, before a try fails; 2000 unless given. */
  readonly messageTimeoutMs?: number | undefined;
}

// The C library's texts, which the reference prints; each runtime has different ones.
const SYSTEM_TEXTS: Readonly<Record<string, string>> = {
  EACCES: "Permission denied",
  EAGAIN: "Resource temporarily unavailable",
  ECONNREFUSED: "Connection refused",
  ECONNRESET: "Connection reset by peer",
  ELOOP: "Too many levels of symbolic links",
  EMFILE: "Too many open files",
  ENAMETOOLONG: "File name too long",
  ENFILE: "Too many open files in system",
  ENOENT: "No such file or directory",
  ENOTDIR: "Not a directory",
  EPERM: "Operation not permitted",
  EPIPE: "Broken pipe",
};

/**
 * Transient errors of connecting: a full listen queue, and a daemon that is being restarted. Node.js reports the latter as
 * a reset if the connection was already in the queue; and for a moment there may be no socket, which is over if there is
 * one now.
 */
const PASSING: ReadonlySet<string | undefined> = new Set([
  "EAGAIN",
  "ECONNREFUSED",
  "ECONNRESET",
  "ENOENT",
]);

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

function systemText(error: unknown): string {
  const code = codeOf(error);
  return SYSTEM_TEXTS[code ?? ""] ?? code ?? "Unknown error";
}

/** Maximum number of concurrent transactions with one munged; others wait their turn. */
const MAX_CONNECTIONS = 64;
/** The gate of each socket in use, and its number of transactions. */
const gates = new Map<string, { readonly gate: Gate; users: number }>();

/**
 * Carries out one transaction with the munged at `socketPath`, with the retries of docs/protocol.md
 * ("One request, one response").
 *
 * @returns the response, which may contain an error from the daemon.
 * @throws {MungeError} EMUNGE_SOCKET if there is no socket, no daemon behind it, or no complete answer after five tries;
 * EMUNGE_BAD_LENGTH for a message that is too long; EMUNGE_OVERFLOW for a path that is too long; EMUNGE_TIMEOUT after
 * `timeoutMs`.
 * @throws the signal's reason once it is aborted.
 */
export async function transact<Response>(
  socketPath: string,
  transaction: Transaction<Response>,
  { signal, timeoutMs, messageTimeoutMs = MESSAGE_TIMEOUT_MS }: TransactOptions = {},
): Promise<Response> {
  const run = (signal: AbortSignal | undefined) =>
    inTurn(socketPath, () => tryAgain(socketPath, transaction, messageTimeoutMs, signal), signal);
  try {
    return timeoutMs === undefined ? await run(signal) : await withDeadline(timeoutMs, run, signal);
  } catch (error) {
    throw atSocket(error, socketPath);
  }
}

/** Runs `task` once fewer than {@linkcode MAX_CONNECTIONS} transactions use the socket. */
async function inTurn<T>(
  socketPath: string,
  task: () => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  let entry = gates.get(socketPath);
  if (entry === undefined) {
    entry = { gate: new Gate(MAX_CONNECTIONS), users: 0 };
    gates.set(socketPath, entry);
  }
  entry.users++;
  try {
    return await entry.gate.run(task, signal);
  } finally {
    if (--entry.users === 0) gates.delete(socketPath);
  }
}

/** Runs `task` with a signal that also ends it after `timeoutMs`. */
async function withDeadline<T>(
  timeoutMs: number,
  task: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  const controller = new AbortController();
  const aborted = () => controller.abort(signal!.reason);
  if (signal?.aborted) aborted();
  const stopListening = onAbort(signal, aborted);
  const timer = setTimeout(() => controller.abort(new MungeError("EMUNGE_TIMEOUT")), timeoutMs);
  try {
    return await task(controller.signal);
  } finally {
    clearTimeout(timer);
    stopListening();
  }
}

/** The transaction with its retries. */
async function tryAgain<Response>(
  socketPath: string,
  transaction: Transaction<Response>,
  messageTimeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Response> {
  for (let failures = 0;;) {
    signal?.throwIfAborted();
    const request = transaction.format(failures);
    const socket = await connectTo(socketPath, signal);
    try {
      const { responseType } = transaction;
      const body = await exchange(socket, request, responseType, messageTimeoutMs, signal);
      return transaction.parse(body);
    } catch (error) {
      if (++failures >= MAX_TRANSACTIONS || !isRetryable(error)) throw error;
    } finally {
      socket.destroy();
    }
    await pause(transactionPause(failures), signal);
  }
}

/** A connected socket. The path is examined only if connecting fails. */
async function connectTo(path: string, signal: AbortSignal | undefined): Promise<Socket> {
  requireSocketName(path);
  if (!fitsSocketAddress(path)) throw overlongPathError();
  for (let failures = 0;;) {
    signal?.throwIfAborted();
    try {
      return await connectOnce(path, signal);
    } catch (error) {
      signal?.throwIfAborted();
      await requireSocketAt(path);
      if (!PASSING.has(codeOf(error)) || ++failures >= MAX_CONNECT_TRIES) {
        throw connectError(path, systemText(error), error);
      }
    }
    await pause(connectPause(failures), signal);
  }
}

/** Throws an error for an invalid socket path. */
async function requireSocketAt(path: string): Promise<void> {
  const isSocket = await stat(path).then((status) => status.isSocket(), (error) => {
    throw accessError(path, systemText(error), error as NodeJS.ErrnoException);
  });
  requireSocket(path, isSocket);
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

/** Sends `request` and resolves with the body of the answer. The caller destroys the socket. */
function exchange(
  socket: Socket,
  request: Uint8Array,
  responseType: MessageType,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let step: TransactionStep = "send message";
    let timer: ReturnType<typeof setTimeout>;
    const restartTimer = () => {
      clearTimeout(timer);
      timer = setTimeout(() => fail(timeoutError(step)), timeoutMs);
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
    // There is no event for what happened between connecting and this point.
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
