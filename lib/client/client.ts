// The asynchronous client: one transaction with munged over node:net, for Bun, Deno and Node. The rules
// are in retry.ts, the texts in transaction.ts; the command line has a blocking client of its own.
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

/** How a transaction may be cut short. */
export interface TransactOptions {
  /** Ends the transaction: it rejects with the signal's reason, and its connection is closed. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole transaction, its tries and pauses included; no limit unless given. */
  readonly timeoutMs?: number | undefined;
  /** Milliseconds for each message, out or in, before a try has failed; 2000 unless given. */
  readonly messageTimeoutMs?: number | undefined;
}

// The C library's words, which the reference prints; the runtimes have three different sets.
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
 * Errors of connecting that pass: a full listen queue, and a daemon that is just being restarted. Node.js
 * reports that as a reset if the connection was in the queue already; and there may be no socket for a
 * moment, which is over if there is one now.
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

/** Transactions with one munged at a time; the others wait their turn. */
const MAX_CONNECTIONS = 64;
/** The gate of each socket that is in use, and how many transactions are at it. */
const gates = new Map<string, { readonly gate: Gate; users: number }>();

/**
 * Carries out one transaction with the munged at `socketPath`, with the retries of docs/protocol.md
 * ("One request, one response").
 *
 * @returns the response, which may be one that carries an error of the daemon.
 * @throws {MungeError} EMUNGE_SOCKET if there is no socket, nobody behind it, or no whole answer after
 * five tries; EMUNGE_BAD_LENGTH for a message that is too long; EMUNGE_OVERFLOW for a path that is;
 * EMUNGE_TIMEOUT when `timeoutMs` are over.
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

/** Runs `task` when no more than {@linkcode MAX_CONNECTIONS} are under way at the socket. */
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

/** Runs `task` with a signal that ends it after `timeoutMs`, too. */
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

/** A connected socket. That a path leads to none is looked into only when connecting has failed. */
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

/** Throws what is the matter with the path of a socket, if anything is. */
async function requireSocketAt(path: string): Promise<void> {
  const isSocket = await stat(path).then((status) => status.isSocket(), (error) => {
    throw accessError(path, systemText(error), error as NodeJS.ErrnoException);
  });
  requireSocket(path, isSocket);
}

function connectOnce(path: string, signal: AbortSignal | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.on("error", () => {}); // an error while nobody else listens is no reason to end the process
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

/** Sends `request` and resolves with the body of the answer. Leaves the socket to the caller to destroy. */
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
    // What happened between connecting and here has no event any more.
    if (signal?.aborted) aborted();
    else if (socket.destroyed) fail(receiver.incomplete());
  });
}

/** Puts one response together from the pieces that arrive. */
class Receiver {
  readonly #type: MessageType;
  readonly #header = new Uint8Array(HEADER_LENGTH);
  #body: Uint8Array | undefined;
  /** Bytes already there of the part that is being filled. */
  #received = 0;

  constructor(type: MessageType) {
    this.#type = type;
  }

  get step(): TransactionStep {
    return this.#body === undefined ? "receive message header" : "receive message body";
  }

  /** Takes a piece; the body once it is whole, bytes behind it ignored. Throws for a bad header. */
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

  /** Fills `target` on from where it ends; what is left of `piece`. */
  #fill(target: Uint8Array, piece: Uint8Array): Uint8Array {
    const taken = piece.subarray(0, target.length - this.#received);
    target.set(taken, this.#received);
    this.#received += taken.length;
    return piece.subarray(taken.length);
  }
}
