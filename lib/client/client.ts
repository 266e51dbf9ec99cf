// The asynchronous client: one transaction with munged over node:net, for Bun, Deno and Node.js. The rules are in retry.ts,
// the texts in transaction.ts; the commands use a blocking client of their own.
import { stat } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { onAbort, pause } from "./abort.ts";
import { atSocket, MungeError } from "../errors.ts";
import { Gate } from "./gate.ts";
import {
  HEADER_LENGTH,
  MESSAGE_TIMEOUT_MS,
  type MessageType,
  setRetry,
} from "../protocol/message.ts";
import { timerDelay } from "./time_limit.ts";
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
  /**
   * Whether to wait for a missing socket as long as for one that refuses connections: a munged that is being
   * restarted has none for a moment. True unless given.
   */
  readonly waitForSocket?: boolean | undefined;
}

/** What ends a transaction early, and when. */
interface Limits {
  readonly messageTimeoutMs: number;
  readonly waitForSocket: boolean;
  readonly signal: AbortSignal | undefined;
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
 * Errors of connecting that pass: a full listen queue, and a daemon that is being restarted. Node.js reports that as a
 * reset if the connection was in the queue already; and for a moment there is no socket.
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
  options: TransactOptions = {},
): Promise<Response> {
  const { signal, timeoutMs, messageTimeoutMs = MESSAGE_TIMEOUT_MS, waitForSocket = true } =
    options;
  try {
    // Now, not when it is this transaction's turn: what the caller's buffers hold then is the caller's business.
    const message = transaction.format(0);
    const run = (signal: AbortSignal | undefined) => {
      const limits = { messageTimeoutMs, waitForSocket, signal };
      return inTurn(socketPath, () => tryAgain(socketPath, message, transaction, limits), signal);
    };
    const limitMs = timerDelay(timeoutMs);
    return limitMs === undefined ? await run(signal) : await withDeadline(limitMs, run, signal);
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

/** Why a signal of {@linkcode withDeadline} is aborted when time has run out. */
class Deadline extends Error {}

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
  const timer = setTimeout(() => controller.abort(new Deadline()), timeoutMs);
  try {
    return await task(controller.signal);
  } catch (error) {
    throw error instanceof Deadline ? new MungeError("EMUNGE_TIMEOUT") : error;
  } finally {
    clearTimeout(timer);
    stopListening();
  }
}

/** The transaction with its retries. */
async function tryAgain<Response>(
  socketPath: string,
  message: Uint8Array,
  transaction: Transaction<Response>,
  limits: Limits,
): Promise<Response> {
  const { messageTimeoutMs, signal } = limits;
  for (let failures = 0;;) {
    signal?.throwIfAborted();
    setRetry(message, failures);
    const socket = await connectTo(socketPath, limits);
    try {
      const { responseType } = transaction;
      const body = await exchange(socket, message, responseType, messageTimeoutMs, signal);
      return transaction.parse(body);
    } catch (error) {
      if (++failures >= MAX_TRANSACTIONS || !isRetryable(error)) throw error;
    } finally {
      socket.destroy();
    }
    await pause(transactionPause(failures), signal);
  }
}

/**
 * A connected socket. The reason for a missing one is determined only if connecting fails. If a deadline passes while it is
 * tried again, that reason is the error.
 */
async function connectTo(path: string, { waitForSocket, signal }: Limits): Promise<Socket> {
  requireSocketName(path);
  if (!fitsSocketAddress(path)) throw overlongPathError();
  for (let failures = 0;;) {
    signal?.throwIfAborted();
    let failure: MungeError;
    try {
      return await connectOnce(path, signal);
    } catch (error) {
      signal?.throwIfAborted();
      const isMissing = codeOf(error) === "ENOENT";
      const isPassing = PASSING.has(codeOf(error)) && (waitForSocket || !isMissing);
      failure = await explain(path, error);
      // A file other than a socket refuses connections too, and always will.
      const isFinal = failure.code !== "EMUNGE_SOCKET" || failure.cause === undefined;
      if (!isPassing || isFinal || ++failures >= MAX_CONNECT_TRIES) throw failure;
    }
    await pause(connectPause(failures), signal).catch((reason) => {
      throw reason instanceof Deadline ? failure : reason;
    });
  }
}

/** The error for a failed connect(): what is the matter with the path, if anything is, else the system's error. */
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
