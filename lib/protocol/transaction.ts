// One transaction as both clients see it: what is sent, what may come back, and the error text if it fails, in the
// reference's words. No I/O.
import { MAX_PAYLOAD_LENGTH } from "../credential/fields.ts";
import { MungeError } from "../errors.ts";
import {
  type DecodeRequest,
  type DecodeResponse,
  type EncodeRequest,
  type EncodeResponse,
  formatDecodeRequest,
  formatEncodeRequest,
  formatStatusRequest,
  HEADER_LENGTH,
  MAX_REQUEST_LENGTH,
  MESSAGE_TYPE,
  type MessageType,
  parseDecodeResponse,
  parseEncodeResponse,
  parseHeader,
  parseStatusResponse,
} from "./message.ts";

/** Bytes in the `sun_path` of a socket address, including its terminating NUL. */
const MAX_SOCKET_PATH = process.platform === "linux" ? 108 : 104;

/** A request and the response it expects. */
export interface Transaction<Response> {
  /** The whole request message; `retry` is 0 on the first try. Throws EMUNGE_BAD_LENGTH if too long. */
  format(retry: number): Uint8Array;
  /** Type of the only message accepted as its response. */
  readonly responseType: MessageType;
  /** Parses the response's body. Throws EMUNGE_SOCKET if its fields don't fit. */
  parse(body: Uint8Array): Response;
}

/** The transaction that asks for a credential. */
export function encodeTransaction(request: EncodeRequest): Transaction<EncodeResponse> {
  return {
    format(retry) {
      requireSize("Payload", request.payload.length, MAX_PAYLOAD_LENGTH);
      return checkedRequest(formatEncodeRequest(request, retry));
    },
    responseType: MESSAGE_TYPE.encodeResponse,
    parse(body) {
      const response = parseEncodeResponse(body);
      if (response.errno === 0 && response.credential.length === 0) {
        throw new MungeError("EMUNGE_SNAFU", "Client received invalid data length 0");
      }
      return response;
    },
  };
}

/** The transaction that opens a credential. */
export function decodeTransaction(request: DecodeRequest): Transaction<DecodeResponse> {
  return {
    format(retry) {
      // with its terminating NUL
      requireSize("Credential", request.credential.length + 1, MAX_REQUEST_LENGTH);
      return checkedRequest(formatDecodeRequest(request, retry));
    },
    responseType: MESSAGE_TYPE.decodeResponse,
    parse: parseDecodeResponse,
  };
}

/** The transaction that asks for munged's status; the response is JSON. */
export function statusTransaction(): Transaction<string> {
  return {
    format: formatStatusRequest,
    responseType: MESSAGE_TYPE.statusResponse,
    parse: parseStatusResponse,
  };
}

function requireSize(what: string, size: number, maximum: number): void {
  if (size <= maximum) return;
  throw new MungeError("EMUNGE_BAD_LENGTH", `${what} size ${size} exceeded maximum of ${maximum}`);
}

function checkedRequest(message: Uint8Array): Uint8Array {
  const length = message.length - HEADER_LENGTH;
  if (length > MAX_REQUEST_LENGTH) {
    throw new MungeError(
      "EMUNGE_BAD_LENGTH",
      `Failed to send message: Size ${length} exceeded maximum of ${MAX_REQUEST_LENGTH}`,
    );
  }
  return message;
}

/**
 * Checks the header of a response.
 *
 * @returns the length of the body to come, at most MAX_REQUEST_LENGTH: no legal response is longer.
 * @throws {MungeError} EMUNGE_SOCKET for an invalid header or another type, EMUNGE_BAD_LENGTH for a body that is
 * too long.
 */
export function responseLength(header: Uint8Array, wanted: MessageType): number {
  const { type, length } = parseHeader(header);
  if (type !== wanted) {
    throw new MungeError(
      "EMUNGE_SOCKET",
      `Received unexpected message type: wanted ${wanted}, got ${type}`,
    );
  }
  if (length > MAX_REQUEST_LENGTH) {
    throw new MungeError(
      "EMUNGE_BAD_LENGTH",
      `Failed to receive message: Size ${length} exceeded maximum of ${MAX_REQUEST_LENGTH}`,
    );
  }
  return length;
}

/** The step at which a transaction failed, as the error texts name it. */
export type TransactionStep = "send message" | "receive message header" | "receive message body";

/** Why there is no complete answer although no system call failed; the cause of a MungeError. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
  /** Whether the daemon took too long, or closed the connection. */
  readonly reason: "timed out" | "closed";

  constructor(reason: NoAnswer["reason"]) {
    super(`No answer: ${reason}`);
    this.reason = reason;
  }
}

/** The error when a system call fails during a step: `reason` is the system's text, `cause` its error. */
export function stepError(step: TransactionStep, reason: string, cause: unknown): MungeError {
  return new MungeError("EMUNGE_SOCKET", `Failed to ${step}: ${reason}`, { cause });
}

/** The error when the other side does not read or write in time. */
export function timeoutError(step: TransactionStep): MungeError {
  return stepError(step, "Timed-out", new NoAnswer("timed out"));
}

/** The error when the daemon closes the connection before `wanted` bytes of header or body have arrived. */
export function incompleteError(
  part: "header" | "body",
  received: number,
  wanted: number,
): MungeError {
  return new MungeError(
    "EMUNGE_SOCKET",
    `Received incomplete message ${part}: ${received} of ${wanted} bytes`,
    { cause: new NoAnswer("closed") },
  );
}

/** The error when the socket can't be examined: `reason` is the system's text, `cause` its error. */
export function accessError(
  path: string,
  reason: string,
  cause: { readonly code?: string | undefined },
): MungeError {
  const question = cause.code === "ENOENT" ? " (Did you start munged?)" : "";
  const text = `Failed to access "${path}": ${reason}${question}`;
  return new MungeError("EMUNGE_SOCKET", text, { cause });
}

/** The error when the connection is not accepted: `reason` is the system's text, `cause` its error. */
export function connectError(path: string, reason: string, cause: unknown): MungeError {
  return new MungeError("EMUNGE_SOCKET", `Failed to connect to "${path}": ${reason}`, { cause });
}

/** Refuses an empty path. */
export function requireSocketName(path: string): void {
  if (path === "") throw new MungeError("EMUNGE_SOCKET", "MUNGE socket name is undefined");
}

/** Whether a path fits into a socket address. */
export function fitsSocketAddress(path: string): boolean {
  return new TextEncoder().encode(path).length < MAX_SOCKET_PATH;
}

/** The error for a path that connect() might truncate, which could lead to another user's socket. */
export function overlongPathError(): MungeError {
  return new MungeError(
    "EMUNGE_OVERFLOW",
    `Exceeded maximum length of ${MAX_SOCKET_PATH} bytes for socket pathname`,
  );
}

/** Refuses a path that exists but is not a socket. */
export function requireSocket(path: string, isSocket: boolean): void {
  if (!isSocket) throw new MungeError("EMUNGE_SOCKET", `Invalid file type for socket "${path}"`);
}
