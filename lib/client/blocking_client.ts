// The client for one-shot programs: plain blocking calls into libc, without the runtime's event loop, so that a whole
// `munge -n` takes only a few milliseconds.
import {
  type DecodeRequest,
  type DecodeResponse,
  type EncodeRequest,
  type EncodeResponse,
  HEADER_LENGTH,
  LARGEST_MESSAGE_LENGTH,
  MAX_REQUEST_LENGTH,
  messageTimeout,
} from "../protocol/message.ts";
import { MAX_PAYLOAD_LENGTH } from "../credential/fields.ts";
import { errorCode, MungeError } from "../errors.ts";
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
  decodeTransaction,
  encodeTransaction,
  incompleteError,
  limitsTransaction,
  maxPayloadWithout,
  NoAnswer,
  overlongPathError,
  requireSocket,
  requireSocketName,
  responseLength,
  statusTransaction,
  stepError,
  timeoutError,
  type Transaction,
  type TransactionStep,
} from "../protocol/transaction.ts";
import { canCallLibc, EAGAIN, EINTR, fixedMemory, type SystemError } from "../os/libc.ts";
import { transactInChild } from "../os/libc_fallbacks.ts";
import { systemText } from "../os/system_text.ts";
import { unixAddress } from "../os/unix_address.ts";
import {
  closeStream,
  connectStream,
  ECONNREFUSED,
  ENOENT,
  now,
  ready,
  receiveInto,
  sendFrom,
  sleep,
} from "../os/unix_stream.ts";

/** Temporary errors of connecting: a full listen queue, or a munged that is being restarted. */
const PASSING: readonly number[] = [EAGAIN, ECONNREFUSED, ENOENT];

const BUFFER_LENGTH = 16_384;

/** How a {@linkcode BlockingClient} asks. */
export interface BlockingClientOptions {
  /**
   * Whether to wait for a missing socket as long as for one that refuses connections: a munged that is being
   * restarted has none for a moment. True unless given; false for a caller that only checks whether munged is running.
   */
  readonly waitForSocket?: boolean;
}

/** Sends requests to one munged, each over a new connection; blocks its thread. */
export class BlockingClient {
  private readonly path: string;
  private readonly address: Uint8Array;
  private readonly waitForSocket: boolean;
  /** Buffer for responses; grows for a longer response, and is replaced after a very long one. */
  private buffer = new Uint8Array(fixedMemory(BUFFER_LENGTH));

  /**
   * @param path of munged's socket.
   * @throws {MungeError} if no socket can have this path.
   */
  constructor(path: string, { waitForSocket = true }: BlockingClientOptions = {}) {
    requireSocketName(path);
    const address = unixAddress(path);
    if (address === undefined) throw overlongPathError();
    this.path = path;
    this.address = address;
    this.waitForSocket = waitForSocket;
  }

  /**
   * Asks munged for a credential.
   *
   * @returns its answer, which may be an error; the credential is a view that the next call overwrites.
   * @throws {MungeError} EMUNGE_SOCKET if munged can't be reached, EMUNGE_BAD_LENGTH if the request is too long.
   */
  encode(request: EncodeRequest): EncodeResponse {
    return this.transact(encodeTransaction(request));
  }

  /**
   * Asks munged to open a credential.
   *
   * @returns its answer, which may be an error; its byte fields are views that the next call overwrites.
   * @throws {MungeError} EMUNGE_SOCKET if munged can't be reached, EMUNGE_BAD_LENGTH if the request is too long.
   */
  decode(request: DecodeRequest): DecodeResponse {
    return this.transact(decodeTransaction(request));
  }

  /**
   * Asks for munged's status.
   *
   * @returns JSON.
   * @throws {MungeError} EMUNGE_SOCKET if munged can't be reached, or does not give its status to this user.
   */
  status(): string {
    return this.transact(statusTransaction());
  }

  /**
   * Asks for the maximum length of a payload, in bytes.
   *
   * @returns munged's `--max-payload`; the protocol's maximum for a munged that can't be asked.
   * @throws {MungeError} EMUNGE_SOCKET if munged can't be reached.
   */
  maxPayload(): number {
    try {
      return this.transact(limitsTransaction());
    } catch (error) {
      return maxPayloadWithout(error);
    }
  }

  /**
   * Sends munged one request, after asking for munged's limits if not every munged accepts a request of this length.
   *
   * @returns its answer, which may be an error; its byte fields are views that the next call overwrites.
   * @throws {MungeError} EMUNGE_SOCKET if munged can't be reached, EMUNGE_BAD_LENGTH if the request is too long.
   */
  transact<Response>(transaction: Transaction<Response>): Response {
    if (transaction.maxPayloadNeeded > MAX_PAYLOAD_LENGTH) {
      transaction.requireFits(this.maxPayload());
    }
    if (!canCallLibc()) return this.transactInChild(transaction);
    for (let failures = 0;; sleep(transactionPause(failures))) {
      const message = transaction.format(failures);
      const fd = this.connect();
      try {
        const timeout = messageTimeout(message.length);
        send(fd, message, timeout);
        return transaction.parse(this.receive(fd, transaction, timeout));
      } catch (error) {
        failures++;
        if (failures >= MAX_TRANSACTIONS || !isRetryable(error)) throw error;
      } finally {
        closeStream(fd);
      }
    }
  }

  private transactInChild<Response>(transaction: Transaction<Response>): Response {
    const error = this.waitForSocket ? undefined : socketError(this.path);
    if (error !== undefined) throw error;
    const { responseType } = transaction;
    const message = transaction.format(0);
    const outcome = transactInChild(this.path, message, responseType, LARGEST_MESSAGE_LENGTH);
    if (outcome instanceof Uint8Array) return transaction.parse(outcome);
    const cause = outcome.isHangup ? new NoAnswer("closed") : undefined;
    throw new MungeError(errorCode(outcome.errno), outcome.text, { cause });
  }

  /** Descriptor of a new connection. */
  private connect(): number {
    for (let failures = 0;;) {
      const outcome = connectStream(this.address);
      if (typeof outcome === "number") return outcome;
      if (outcome.errno === EINTR) continue;
      failures++;
      const failure = explain(this.path, outcome);
      // A file that is not a socket also refuses connections, but permanently.
      const isPassing = PASSING.includes(outcome.errno) && failure.cause !== undefined &&
        (this.waitForSocket || !isMissing(failure));
      if (!isPassing || failures >= MAX_CONNECT_TRIES) throw failure;
      sleep(connectPause(failures));
    }
  }

  /** The body of the response, as a view of the buffer. */
  private receive(fd: number, transaction: Transaction<unknown>, timeout: number): Uint8Array {
    if (this.buffer.length > HEADER_LENGTH + MAX_REQUEST_LENGTH) {
      this.buffer = new Uint8Array(fixedMemory(BUFFER_LENGTH));
    }
    const deadline = now() + timeout;
    let part: "header" | "body" = "header";
    let start = 0;
    let end = HEADER_LENGTH;
    for (let have = 0;;) {
      if (have >= end) {
        if (part === "body") return this.buffer.subarray(start, end);
        part = "body";
        start = end;
        end += responseLength(this.buffer, transaction.responseType);
        this.makeRoom(end, have);
        continue;
      }
      const step: TransactionStep = `receive message ${part}`;
      wait(fd, "read", deadline, step);
      const count = receiveInto(fd, this.buffer, have);
      if (count === 0) throw incompleteError(part, have - start, end - start);
      if (typeof count === "number") have += count;
      else if (count.errno !== EINTR && count.errno !== EAGAIN) throw failed(step, count);
    }
  }

  /** Grows the buffer to `length`, keeping its first `have` bytes. */
  private makeRoom(length: number, have: number): void {
    if (length <= this.buffer.length) return;
    const larger = new Uint8Array(fixedMemory(length));
    larger.set(this.buffer.subarray(0, have));
    this.buffer = larger;
  }
}

/** Sends a whole message. It does not wait before the first attempt: munged reads as soon as a client connects. */
function send(fd: number, message: Uint8Array, timeout: number): void {
  const step = "send message";
  const deadline = now() + timeout;
  for (let sent = 0; sent < message.length;) {
    const count = sendFrom(fd, message, sent);
    if (typeof count === "number") sent += count;
    else if (count.errno === EAGAIN) wait(fd, "write", deadline, step);
    else if (count.errno !== EINTR) throw failed(step, count);
  }
}

/** Waits until the descriptor is ready. @throws {MungeError} once the deadline has passed. */
function wait(
  fd: number,
  direction: "read" | "write",
  deadline: number,
  step: TransactionStep,
): void {
  for (;;) {
    const remaining = Math.max(0, Math.ceil(deadline - now()));
    const outcome = ready(fd, direction, remaining);
    if (outcome === true) return;
    if (outcome === false) {
      if (remaining === 0) throw timeoutError(step);
    } else if (outcome.errno !== EINTR) throw failed(step, outcome);
  }
}

/** The error for a failed connect(): the problem with the path, if there is one, otherwise the system's error. */
function explain(path: string, error: SystemError): MungeError {
  return socketError(path) ?? connectError(path, error.message, error);
}

/** The problem with the path of a socket; undefined if there is a socket. */
function socketError(path: string): MungeError | undefined {
  try {
    requireSocket(path, process.getBuiltinModule("node:fs").statSync(path).isSocket());
    return undefined;
  } catch (error) {
    if (error instanceof MungeError) return error;
    return accessError(path, systemText(error), error as NodeJS.ErrnoException);
  }
}

function isMissing({ cause }: MungeError): boolean {
  return (cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
}

function failed(step: TransactionStep, cause: SystemError): MungeError {
  return stepError(step, cause.message, cause);
}
