// The client for one-shot programs: plain blocking calls into libc, without the runtime's event loop, so that a whole
// `munge -n` takes only a few milliseconds.
import {
  type DecodeRequest,
  type DecodeResponse,
  type EncodeRequest,
  type EncodeResponse,
  HEADER_LENGTH,
  MESSAGE_TIMEOUT_MS,
} from "../protocol/message.ts";
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
import {
  canCallLibc,
  EAGAIN,
  EINTR,
  errno,
  FFIType,
  fixedMemory,
  openLibc,
  type Pointer,
  ptr,
  strerror,
  SystemError,
} from "./libc.ts";
import { transactInChild } from "./substitutes.ts";
import { AF_UNIX, unixAddress } from "./unix_address.ts";

const isLinux = process.platform === "linux";
const isDarwin = process.platform === "darwin";

const SOCK_STREAM = 1;
// Non-blocking, so that a full listen queue gives EAGAIN instead of blocking forever. macOS has no such flag and needs
// none, because there a full queue gives ECONNREFUSED.
const SOCK_FLAGS = isLinux ? 0o2004000 : isDarwin ? 0 : 0x3000_0000;
const MSG_DONTWAIT = isLinux ? 0x40 : 0x80;
const MSG_NOSIGNAL = isLinux ? 0x4000 : isDarwin ? 0 : 0x2_0000;
const SEND_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;
const POLLIN = 1;
const POLLOUT = 4;
const ECONNREFUSED = isLinux ? 111 : 61;

const { i32, ptr: pointer, u32, u64 } = FFIType;
const c = openLibc({
  socket: { args: [i32, i32, i32], returns: i32 },
  connect: { args: [i32, pointer, u32], returns: i32 },
  send: { args: [i32, pointer, u64, i32], returns: i32 },
  recv: { args: [i32, pointer, u64, i32], returns: i32 },
  poll: { args: [pointer, u64, i32], returns: i32 },
  close: { args: [i32], returns: i32 },
});

/** Sends requests to one munged, each over a new connection; blocks its thread. */
export class BlockingClient {
  readonly #path: string;
  readonly #address: Uint8Array;
  readonly #addressPointer: Pointer;
  /** Buffer for responses; grows for a longer response. */
  #buffer = new Uint8Array(fixedMemory(16_384));
  #bufferPointer = ptr(this.#buffer);
  /** struct pollfd: fd i32, events i16, revents i16; the last two as one, of which events is the lower half. */
  readonly #pollFd = new Int32Array(fixedMemory(8));
  readonly #pollPointer = ptr(this.#pollFd);

  /** @param path of munged's socket. @throws {MungeError} if no socket can have this path. */
  constructor(path: string) {
    requireSocketName(path);
    const address = unixAddress(path);
    if (address === undefined) throw overlongPathError();
    this.#path = path;
    this.#address = address;
    this.#addressPointer = ptr(address);
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
   * Sends munged one request.
   *
   * @returns its answer, which may be an error; its byte fields are views that the next call overwrites.
   * @throws {MungeError} EMUNGE_SOCKET if munged can't be reached, EMUNGE_BAD_LENGTH if the request is too long.
   */
  transact<Response>(transaction: Transaction<Response>): Response {
    if (!canCallLibc()) return this.#transactInChild(transaction);
    for (let failures = 0;; c.poll(null, 0, transactionPause(failures))) {
      const message = transaction.format(failures);
      const fd = this.#connect(message);
      try {
        if (this.#begun !== message.length) this.#sendRest(fd, message);
        return transaction.parse(this.#receive(fd, transaction));
      } catch (error) {
        failures++;
        if (failures >= MAX_TRANSACTIONS || !isRetryable(error)) throw error;
      } finally {
        c.close(fd);
      }
    }
  }

  #transactInChild<Response>(transaction: Transaction<Response>): Response {
    const outcome = transactInChild(this.#path, transaction.format(0), transaction.responseType);
    if (outcome instanceof Uint8Array) return transaction.parse(outcome);
    throw new MungeError(errorCode(outcome.errno), outcome.text);
  }

  /** Result of the first send(): the number of bytes taken, or a negative error number. */
  #begun = 0;

  /**
   * Descriptor of a new connection, over which the message is sent immediately: munged looks for it as soon as a client
   * connects, and has to wait for anything that has not arrived yet.
   */
  #connect(message: Uint8Array): number {
    const fd = c.socket(AF_UNIX, SOCK_STREAM | SOCK_FLAGS, 0);
    if (fd < 0) throw unconnected(this.#path, new SystemError("socket"));
    for (let failures = 0;;) {
      if (c.connect(fd, this.#addressPointer, this.#address.length) === 0) {
        const count = c.send(fd, ptr(message), message.length, SEND_FLAGS);
        this.#begun = count < 0 ? -errno() : count;
        return fd;
      }
      const reason = errno();
      if (reason === EINTR) continue;
      // A file that is not a socket refuses connections as well, and always will.
      const passing = (reason === EAGAIN || reason === ECONNREFUSED) && isSocket(this.#path);
      failures++;
      if (!passing || failures >= MAX_CONNECT_TRIES) {
        c.close(fd);
        throw explainConnectError(this.#path, reason);
      }
      c.poll(null, 0, connectPause(failures));
    }
  }

  /** Sends the rest after the first send(). */
  #sendRest(fd: number, message: Uint8Array): void {
    const deadline = performance.now() + MESSAGE_TIMEOUT_MS;
    const start = ptr(message);
    let outcome = this.#begun;
    for (let sent = 0;;) {
      if (outcome >= 0) sent += outcome;
      else if (outcome === -EAGAIN) this.#wait(fd, POLLOUT, deadline, "send message");
      else if (outcome !== -EINTR) throw failed("send message", new SystemError("send", -outcome));
      if (sent === message.length) return;
      const count = c.send(fd, (start + sent) as Pointer, message.length - sent, SEND_FLAGS);
      outcome = count < 0 ? -errno() : count;
    }
  }

  /** The body of the response, as a view of the buffer. */
  #receive(fd: number, transaction: Transaction<unknown>): Uint8Array {
    const deadline = performance.now() + MESSAGE_TIMEOUT_MS;
    let part: "header" | "body" = "header";
    let start = 0;
    let end = HEADER_LENGTH;
    for (let have = 0;;) {
      if (have >= end) {
        if (part === "body") return this.#buffer.subarray(start, end);
        part = "body";
        start = end;
        end += responseLength(this.#buffer, transaction.responseType);
        this.#makeRoom(end, have);
        continue;
      }
      const step: TransactionStep = `receive message ${part}`;
      this.#wait(fd, POLLIN, deadline, step);
      const room = this.#buffer.length - have;
      const count = c.recv(fd, (this.#bufferPointer + have) as Pointer, room, MSG_DONTWAIT);
      if (count > 0) {
        have += count;
      } else if (count === 0) {
        throw incompleteError(part, have - start, end - start);
      } else {
        const reason = errno();
        if (reason !== EINTR && reason !== EAGAIN) {
          throw failed(step, new SystemError("recv", reason));
        }
      }
    }
  }

  /** Grows the buffer to `length`, keeping its first `have` bytes. */
  #makeRoom(length: number, have: number): void {
    if (length <= this.#buffer.length) return;
    const larger = new Uint8Array(fixedMemory(length));
    larger.set(this.#buffer.subarray(0, have));
    this.#buffer = larger;
    this.#bufferPointer = ptr(larger);
  }

  /** Waits until the descriptor is ready. @throws {MungeError} once the deadline has passed. */
  #wait(fd: number, events: number, deadline: number, step: TransactionStep): void {
    this.#pollFd[0] = fd;
    this.#pollFd[1] = events;
    for (;;) {
      const remaining = Math.max(0, Math.ceil(deadline - performance.now()));
      const ready = c.poll(this.#pollPointer, 1, remaining);
      if (ready > 0) return;
      if (ready === 0 && remaining === 0) throw timeoutError(step);
      if (ready < 0 && errno() !== EINTR) throw failed(step, new SystemError("poll"));
    }
  }
}

function isSocket(path: string): boolean {
  try {
    return process.getBuiltinModule("node:fs").statSync(path).isSocket();
  } catch {
    return false; // explainConnectError() reports the cause
  }
}

/** The error for a failed connect(): that there is no socket, if so, otherwise the system's error. */
function explainConnectError(path: string, reason: number): Error {
  try {
    requireSocket(path, process.getBuiltinModule("node:fs").statSync(path).isSocket());
  } catch (error) {
    const { errno: number } = error as NodeJS.ErrnoException;
    if (error instanceof MungeError || number === undefined) return error as Error;
    return accessError(path, strerror(Math.abs(number)), error as NodeJS.ErrnoException);
  }
  return unconnected(path, new SystemError("connect", reason));
}

function unconnected(path: string, cause: SystemError): MungeError {
  return connectError(path, cause.message, cause);
}

function failed(step: TransactionStep, cause: SystemError): MungeError {
  return stepError(step, cause.message, cause);
}
