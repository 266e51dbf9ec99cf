// One transaction as both clients see it: what is sent, what may come back, and the error text if it fails, in the
// reference's words. No I/O.
import { LARGEST_PAYLOAD_LENGTH, MAX_PAYLOAD_LENGTH } from "../credential/fields.ts";
import { MungeError } from "../errors.ts";
import {
  type DecodeRequest,
  type DecodeResponse,
  type EncodeRequest,
  type EncodeResponse,
  formatDecodeRequest,
  formatEncodeRequest,
  formatKeepRequest,
  formatLimitsRequest,
  formatStatusRequest,
  type KeepTerms,
  LARGEST_MESSAGE_LENGTH,
  maxMessageLength,
  MESSAGE_TYPE,
  type MessageType,
  parseDecodeResponse,
  parseEncodeResponse,
  parseHeader,
  parseKeepResponse,
  parseLimitsResponse,
  parseStatusResponse,
} from "./message.ts";

/** Bytes in the `sun_path` of a socket address, including its terminating NUL. */
const MAX_SOCKET_PATH = process.platform === "linux" ? 108 : 104;

/** A request and the response it expects. */
export interface Transaction<Response> {
  /** The whole request message; `retry` is 0 on the first try. */
  format(retry: number): Uint8Array;
  /**
   * The `--max-payload` that munged needs to accept the request. Up to {@linkcode MAX_PAYLOAD_LENGTH} every munged accepts
   * it; otherwise ask munged ({@linkcode limitsTransaction}), then call {@linkcode requireFits}, before sending it.
   */
  readonly maxPayloadNeeded: number;
  /** Throws EMUNGE_BAD_LENGTH if the request is too long for a munged with this `--max-payload`. */
  requireFits(maxPayload: number): void;
  /**
   * Whether munged answers the request only once. A caller that gives up early closes its connection, so that munged takes
   * the answer back; for that, the request needs its own connection.
   */
  readonly isOnce: boolean;
  /** Type of the only message accepted as its response. */
  readonly responseType: MessageType;
  /** Parses the response's body. Throws EMUNGE_SOCKET if its fields don't fit. */
  parse(body: Uint8Array): Response;
  /** Whether the parsed response has views of the body, whose memory then must not be reused. */
  readonly viewsBody: boolean;
}

/** An {@linkcode EncodeResponse} with the credential as text. */
export interface EncodeTextResponse extends Omit<EncodeResponse, "credential"> {
  readonly credential: string;
}

const utf8 = new TextDecoder();

/** A response with its credential as text. */
export function withText({ errno, errorText, credential }: EncodeResponse): EncodeTextResponse {
  return { errno, errorText, credential: utf8.decode(credential) };
}

/** The transaction that asks for a credential. */
export function encodeTransaction(request: EncodeRequest): Transaction<EncodeResponse> {
  return encoding(request, parseCredential, true);
}

/** As {@linkcode encodeTransaction}, with the credential as text. */
export function encodeTextTransaction(request: EncodeRequest): Transaction<EncodeTextResponse> {
  return encoding(request, (body) => withText(parseCredential(body)), false);
}

function parseCredential(body: Uint8Array): EncodeResponse {
  const response = parseEncodeResponse(body);
  if (response.errno === 0 && response.credential.length === 0) {
    throw new MungeError("EMUNGE_SNAFU", "Client received invalid data length 0");
  }
  return response;
}

function encoding<Response>(
  request: EncodeRequest,
  parse: Transaction<Response>["parse"],
  viewsBody: boolean,
): Transaction<Response> {
  const { length } = request.payload;
  return {
    format: (retry) => formatEncodeRequest(request, retry),
    maxPayloadNeeded: length,
    requireFits: (maxPayload) => requireSize("Payload", length, maxPayload),
    isOnce: false,
    responseType: MESSAGE_TYPE.encodeResponse,
    parse,
    viewsBody,
  };
}

/** The transaction that opens a credential. */
export function decodeTransaction(request: DecodeRequest): Transaction<DecodeResponse> {
  const length = request.credential.length + 1; // with its terminating NUL
  const bodyLength = 4 + length;
  return {
    format: (retry) => formatDecodeRequest(request, retry),
    maxPayloadNeeded: Math.ceil(bodyLength / maxMessageLength(1)),
    requireFits(maxPayload) {
      const maximum = maxMessageLength(maxPayload);
      requireSize("Credential", length, maximum);
      if (bodyLength > maximum) throw tooLong("send", bodyLength, maximum);
    },
    isOnce: true,
    responseType: MESSAGE_TYPE.decodeResponse,
    parse: parseDecodeResponse,
    viewsBody: true,
  };
}

/** Properties of a request without fields, whose response has no views. */
const EMPTY = {
  maxPayloadNeeded: 0,
  requireFits: () => {},
  isOnce: false,
  viewsBody: false,
} as const;

/** The transaction that asks for munged's status; the response is JSON. */
export function statusTransaction(): Transaction<string> {
  return {
    ...EMPTY,
    format: formatStatusRequest,
    responseType: MESSAGE_TYPE.statusResponse,
    parse: parseStatusResponse,
  };
}

/** The transaction that asks for munged's `--max-payload`; a C munged does not answer ({@linkcode maxPayloadWithout}). */
export function limitsTransaction(): Transaction<number> {
  return {
    ...EMPTY,
    format: formatLimitsRequest,
    responseType: MESSAGE_TYPE.limitsResponse,
    parse: (body) => Math.min(parseLimitsResponse(body), LARGEST_PAYLOAD_LENGTH),
  };
}

/** The transaction that asks munged to keep the connection; a C munged does not answer. */
export function keepTransaction(): Transaction<KeepTerms> {
  return {
    ...EMPTY,
    format: formatKeepRequest,
    responseType: MESSAGE_TYPE.keepResponse,
    parse: parseKeepResponse,
  };
}

function requireSize(what: string, size: number, maximum: number): void {
  if (size <= maximum) return;
  throw new MungeError("EMUNGE_BAD_LENGTH", `${what} size ${size} exceeded maximum of ${maximum}`);
}

function tooLong(verb: "send" | "receive", length: number, maximum: number): MungeError {
  const text = `Failed to ${verb} message: Size ${length} exceeded maximum of ${maximum}`;
  return new MungeError("EMUNGE_BAD_LENGTH", text);
}

/**
 * Checks the header of a response.
 *
 * @param at its offset in `bytes`.
 * @returns the length of the body to come, at most LARGEST_MESSAGE_LENGTH: no legal response of any munged is longer.
 * @throws {MungeError} EMUNGE_SOCKET for an invalid header or another type, EMUNGE_BAD_LENGTH for a body that is
 * too long.
 */
export function responseLength(bytes: Uint8Array, wanted: MessageType, at = 0): number {
  const { type, length } = parseHeader(bytes, at);
  if (type !== wanted) {
    throw new MungeError(
      "EMUNGE_SOCKET",
      `Received unexpected message type: wanted ${wanted}, got ${type}`,
      { cause: new NoAnswer("unexpected") },
    );
  }
  if (length > LARGEST_MESSAGE_LENGTH) throw tooLong("receive", length, LARGEST_MESSAGE_LENGTH);
  return length;
}

/** The step at which a transaction failed, as the error texts name it. */
export type TransactionStep = "send message" | "receive message header" | "receive message body";

/** Why there is no complete answer although no system call failed; the cause of a MungeError. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
  /** Whether the daemon took too long, closed the connection, or sent another message. */
  readonly reason: "timed out" | "closed" | "unexpected";

  constructor(reason: NoAnswer["reason"]) {
    super(`No answer: ${reason}`);
    this.reason = reason;
  }
}

/** Whether the daemon closed the connection, which is how it refuses a message that is unknown or not permitted. */
export function isHangup(error: unknown): boolean {
  if (!(error instanceof MungeError)) return false;
  const { cause } = error;
  if (cause instanceof NoAnswer) return cause.reason === "closed";
  return (cause as { readonly code?: unknown } | undefined)?.code === "ECONNRESET";
}

/**
 * The `--max-payload` of a munged that could not be asked for it.
 *
 * @param error of {@linkcode limitsTransaction}.
 * @returns the protocol's maximum if munged does not know the question, like the C munged.
 * @throws the error if it has another cause.
 */
export function maxPayloadWithout(error: unknown): number {
  const cause = error instanceof MungeError ? error.cause : undefined;
  const isUnknown = cause instanceof NoAnswer && cause.reason === "unexpected";
  if (isUnknown || isHangup(error)) return MAX_PAYLOAD_LENGTH;
  throw error;
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
