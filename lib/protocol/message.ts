// The messages between client and daemon (docs/protocol.md, "One request, one response"): formatting and parsing of
// whole bodies, without sockets.
import { FieldReader } from "../bytes/field_reader.ts";
import { putU32, readU32 } from "../bytes/integers.ts";
import { LARGEST_PAYLOAD_LENGTH, MAX_PAYLOAD_LENGTH } from "../credential/fields.ts";
import { MungeError } from "../errors.ts";

/** Bytes in the header of every message. */
export const HEADER_LENGTH = 11;
/** Maximum length, in bytes, of a request's body that every munged accepts. */
export const MAX_REQUEST_LENGTH: number = maxMessageLength(MAX_PAYLOAD_LENGTH);
/** Maximum length of a message's body from a munged that accepts the longest payloads. */
export const LARGEST_MESSAGE_LENGTH: number = maxMessageLength(LARGEST_PAYLOAD_LENGTH);
/** Milliseconds that either side allows for sending or receiving a message. */
export const MESSAGE_TIMEOUT_MS = 2_000;
/** Bytes of a message for which {@linkcode MESSAGE_TIMEOUT_MS} is allowed; a longer one has as much time for the rest. */
export const TIMELY_LENGTH: number = HEADER_LENGTH + MAX_REQUEST_LENGTH;
/** Highest value of the retry byte that munged still answers. */
export const MAX_RETRY = 5;
/** The UID or GID that stands for anyone. */
export const ANY_ID = 0xffff_ffff;
/** The TTL that asks for the daemon's default. */
export const TTL_DEFAULT = 0;
/** The TTL that asks for the maximum the daemon allows. */
export const TTL_MAXIMUM = 0xffff_ffff;

const MAGIC = 0x0060_6d4b;
const VERSION = 4;
/** Maximum length of a text in a str8, without its NUL. */
const MAX_STRING_LENGTH = 254;

/** Type byte of each message. */
export const MESSAGE_TYPE = {
  encodeRequest: 2,
  encodeResponse: 3,
  decodeRequest: 4,
  decodeResponse: 5,
  // Our extensions: the C munged closes the connection on them, and no C client sends them.
  statusRequest: 0x40,
  statusResponse: 0x41,
  limitsRequest: 0x42,
  limitsResponse: 0x43,
  keepRequest: 0x44,
  keepResponse: 0x45,
} as const;

/** Type byte of a message. */
export type MessageType = typeof MESSAGE_TYPE[keyof typeof MESSAGE_TYPE];

/** The start of every message. */
export interface Header {
  readonly type: number;
  /** Number of earlier attempts. */
  readonly retry: number;
  /** Bytes in the body. */
  readonly length: number;
}

/** A request for a credential. Types are numbers on the wire; IDs may be {@linkcode ANY_ID}. */
export interface EncodeRequest {
  /** Number of a cipher; 1 for the default. */
  readonly cipher: number;
  /** Number of a MAC; 1 for the default. */
  readonly mac: number;
  /** Number of a compression; 1 for the default. */
  readonly zip: number;
  /** Security realm; empty for the default one. */
  readonly realm: string;
  /** Seconds, {@linkcode TTL_DEFAULT} or {@linkcode TTL_MAXIMUM}. */
  readonly ttl: number;
  /** The only UID that may decode. */
  readonly uidRestriction: number;
  /** The only GID that may decode. */
  readonly gidRestriction: number;
  /** At most as many bytes as munged's `--max-payload` says: {@linkcode MAX_PAYLOAD_LENGTH} by default. */
  readonly payload: Uint8Array;
}

/** The answer to an {@linkcode EncodeRequest}. */
export interface EncodeResponse {
  /** MUNGE error number; 0 is success. */
  readonly errno: number;
  /** The daemon's text for the error; empty on success. */
  readonly errorText: string;
  /** The armored credential without its terminating NUL. */
  readonly credential: Uint8Array;
}

/** A request to check and open a credential. */
export interface DecodeRequest {
  /** The armored credential without its terminating NUL. */
  readonly credential: Uint8Array;
}

/** The answer to a {@linkcode DecodeRequest}; most errors clear every field after the text. */
export interface DecodeResponse {
  /** MUNGE error number; 0 is success. */
  readonly errno: number;
  /** The daemon's text for the error; empty on success. */
  readonly errorText: string;
  /** Number of the cipher. */
  readonly cipher: number;
  /** Number of the MAC. */
  readonly mac: number;
  /** Number of the compression. */
  readonly zip: number;
  /** Security realm; empty for the default one. */
  readonly realm: string;
  /** Seconds, limited to the daemon's maximum. */
  readonly ttl: number;
  /** IPv4 address of the encoding host, 4 bytes, or none. */
  readonly originAddress: Uint8Array;
  /** Seconds since the epoch. */
  readonly encodeTime: number;
  /** Seconds since the epoch. */
  readonly decodeTime: number;
  /** UID of the encoding process. */
  readonly uid: number;
  /** GID of the encoding process. */
  readonly gid: number;
  /** The only UID that may decode, or {@linkcode ANY_ID}. */
  readonly uidRestriction: number;
  /** The only GID whose members may decode, or {@linkcode ANY_ID}. */
  readonly gidRestriction: number;
  /** The payload; empty if there was none. */
  readonly payload: Uint8Array;
}

/** What a client of a kept connection must observe; munged closes the connection otherwise. */
export interface KeepTerms {
  /** Milliseconds without a request after which munged closes the connection. */
  readonly idleMs: number;
  /** Maximum length of a request's body. */
  readonly maxLength: number;
  /** Maximum number of requests without an answer. */
  readonly maxInFlight: number;
}

// @__PURE__ lets the bundlers leave out what a program does not use: creating it takes time.

/** A decode response with nothing about the credential, as after most errors. */
export const RESET_DECODE_RESPONSE: Omit<DecodeResponse, "errno" | "errorText"> = {
  cipher: 0,
  mac: 0,
  zip: 0,
  realm: "",
  ttl: 0,
  originAddress: /* @__PURE__ */ new Uint8Array(0),
  encodeTime: 0,
  decodeTime: 0,
  uid: ANY_ID,
  gid: ANY_ID,
  uidRestriction: ANY_ID,
  gidRestriction: ANY_ID,
  payload: /* @__PURE__ */ new Uint8Array(0),
};

const NUL = /* @__PURE__ */ new Uint8Array(1);

/**
 * Maximum length of a message's body where payloads may have `maxPayload` bytes: twice as many, as in the protocol. Base64
 * makes a credential a third longer than its payload.
 */
export function maxMessageLength(maxPayload: number): number {
  return 2 * maxPayload;
}

/** Milliseconds that either side allows for a message with `length` bytes. */
export function messageTimeout(length: number): number {
  return MESSAGE_TIMEOUT_MS * Math.max(1, Math.ceil(length / TIMELY_LENGTH));
}

/** Provides the memory for a message; munged's reuses the same memory. */
export type Allocate = (length: number) => Uint8Array;

const newBytes: Allocate = (length) => new Uint8Array(length);

/** Offset of the retry byte. */
const RETRY = 6;

/** Sets the retry byte of a message that is sent again. */
export function setRetry(message: Uint8Array, retry: number): void {
  message[RETRY] = retry;
}

/** Writes the header of a message that fills `bytes`. */
function putHeader(bytes: Uint8Array, type: MessageType, retry: number): void {
  putU32(bytes, 0, MAGIC);
  bytes[4] = VERSION;
  bytes[5] = type;
  bytes[RETRY] = retry;
  putU32(bytes, 7, bytes.length - HEADER_LENGTH);
}

/** Writes the fields of a message one after another into memory of exactly the right length. */
class FieldWriter {
  private readonly message: Uint8Array;
  private at = HEADER_LENGTH;

  /** @param length of the body. */
  constructor(length: number, type: MessageType, retry: number, allocate = newBytes) {
    this.message = allocate(HEADER_LENGTH + length);
    putHeader(this.message, type, retry);
  }

  u8(value: number): this {
    this.message[this.at++] = value;
    return this;
  }

  u32(value: number): this {
    this.at = putU32(this.message, this.at, value);
    return this;
  }

  bytes(value: Uint8Array): this {
    if (value.length > 0) this.message.set(value, this.at);
    this.at += value.length;
    return this;
  }

  /** A text after its 8-bit length, which includes the terminating NUL unless the text is empty. */
  string8(value: string): this {
    this.u8(string8Length(value) - 1);
    for (let i = 0; i < value.length; i++) this.u8(value.charCodeAt(i));
    return value.length === 0 ? this : this.u8(0);
  }

  done(): Uint8Array {
    return this.message;
  }
}

/** Bytes that a text takes as a str8, including its length byte and NUL. */
function string8Length(value: string): number {
  return value.length === 0 ? 1 : value.length + 2;
}

/** A text after its 8-bit length. */
function string8(reader: FieldReader, field: string): string {
  return reader.text(reader.u8(field), field);
}

/** Reads the body of a message. */
function readerOf(body: Uint8Array, type: MessageType): FieldReader {
  return new FieldReader(body, 0, () => {
    return new MungeError("EMUNGE_SOCKET", `Failed to unpack message type ${type}`);
  });
}

/**
 * Parses the header in the {@linkcode HEADER_LENGTH} bytes from `at` on.
 *
 * @throws {MungeError} EMUNGE_SOCKET for an unknown magic or version.
 */
export function parseHeader(bytes: Uint8Array, at = 0): Header {
  const magic = readU32(bytes, at);
  if (magic !== MAGIC) {
    throw new MungeError("EMUNGE_SOCKET", `Received invalid message magic ${magic}`);
  }
  const version = bytes[at + 4]!;
  if (version !== VERSION) {
    throw new MungeError("EMUNGE_SOCKET", `Received invalid message version ${version}`);
  }
  return { type: bytes[at + 5]!, retry: bytes[at + RETRY]!, length: readU32(bytes, at + 7) };
}

/** Header and body of an encode request; `retry` is 0 on the first try. */
export function formatEncodeRequest(request: EncodeRequest, retry: number): Uint8Array {
  const length = 3 + string8Length(request.realm) + 12 + 4 + request.payload.length;
  return new FieldWriter(length, MESSAGE_TYPE.encodeRequest, retry)
    .u8(request.cipher).u8(request.mac).u8(request.zip).string8(request.realm)
    .u32(request.ttl).u32(request.uidRestriction).u32(request.gidRestriction)
    .u32(request.payload.length).bytes(request.payload)
    .done();
}

/** The fields of an encode request's body; the payload is a view of `body`. */
export function parseEncodeRequest(body: Uint8Array): EncodeRequest {
  const reader = readerOf(body, MESSAGE_TYPE.encodeRequest);
  return {
    cipher: reader.u8("cipher"),
    mac: reader.u8("mac"),
    zip: reader.u8("zip"),
    realm: string8(reader, "realm"),
    ttl: reader.u32("ttl"),
    uidRestriction: reader.u32("uidRestriction"),
    gidRestriction: reader.u32("gidRestriction"),
    payload: reader.view(reader.u32("payload"), "payload"),
  };
}

/** Header and body of an encode response; `retry` is that of the request. */
export function formatEncodeResponse(
  response: EncodeResponse,
  retry: number,
  allocate?: Allocate,
): Uint8Array {
  const { errno, credential } = response;
  const errorText = response.errorText.slice(0, MAX_STRING_LENGTH);
  const nul = credential.length === 0 ? 0 : 1;
  const length = 1 + string8Length(errorText) + 4 + credential.length + nul;
  return new FieldWriter(length, MESSAGE_TYPE.encodeResponse, retry, allocate)
    .u8(errno).string8(errorText)
    .u32(credential.length + nul).bytes(credential).bytes(NUL.subarray(0, nul))
    .done();
}

/**
 * As {@linkcode formatEncodeResponse} for a success.
 *
 * @param length of the armored credential, which `write` puts in its place.
 */
export function formatEncodeSuccess(
  length: number,
  write: (target: Uint8Array, at: number) => void,
  retry: number,
  allocate: Allocate = newBytes,
): Uint8Array {
  const bytes = allocate(HEADER_LENGTH + 1 + 1 + 4 + length + 1);
  putHeader(bytes, MESSAGE_TYPE.encodeResponse, retry);
  bytes[HEADER_LENGTH] = 0;
  bytes[HEADER_LENGTH + 1] = 0;
  putU32(bytes, HEADER_LENGTH + 2, length + 1);
  write(bytes, HEADER_LENGTH + 6);
  bytes[bytes.length - 1] = 0;
  return bytes;
}

/** The fields of an encode response's body; the credential is a view of `body`. */
export function parseEncodeResponse(body: Uint8Array): EncodeResponse {
  const reader = readerOf(body, MESSAGE_TYPE.encodeResponse);
  return {
    errno: reader.u8("errno"),
    errorText: string8(reader, "errorText"),
    credential: reader.viewBeforeNul(reader.u32("credential"), "credential"),
  };
}

/** Header and body of a decode request; `retry` is 0 on the first try. */
export function formatDecodeRequest(request: DecodeRequest, retry: number): Uint8Array {
  const { credential } = request;
  return new FieldWriter(4 + credential.length + 1, MESSAGE_TYPE.decodeRequest, retry)
    .u32(credential.length + 1).bytes(credential).u8(0)
    .done();
}

/** The fields of a decode request's body; the credential is a view of `body`. */
export function parseDecodeRequest(body: Uint8Array): DecodeRequest {
  const reader = readerOf(body, MESSAGE_TYPE.decodeRequest);
  return { credential: reader.viewBeforeNul(reader.u32("credential"), "credential") };
}

/** Header and body of a decode response; `retry` is that of the request. */
export function formatDecodeResponse(
  response: DecodeResponse,
  retry: number,
  allocate?: Allocate,
): Uint8Array {
  const errorText = response.errorText.slice(0, MAX_STRING_LENGTH);
  const length = 1 + string8Length(errorText) + 3 + string8Length(response.realm) +
    4 + 1 + response.originAddress.length + 24 + 4 + response.payload.length;
  return new FieldWriter(length, MESSAGE_TYPE.decodeResponse, retry, allocate)
    .u8(response.errno).string8(errorText)
    .u8(response.cipher).u8(response.mac).u8(response.zip).string8(response.realm)
    .u32(response.ttl)
    .u8(response.originAddress.length).bytes(response.originAddress)
    .u32(response.encodeTime).u32(response.decodeTime)
    .u32(response.uid).u32(response.gid).u32(response.uidRestriction).u32(response.gidRestriction)
    .u32(response.payload.length).bytes(response.payload)
    .done();
}

/** The fields of a decode response's body; address and payload are views of `body`. */
export function parseDecodeResponse(body: Uint8Array): DecodeResponse {
  const reader = readerOf(body, MESSAGE_TYPE.decodeResponse);
  return {
    errno: reader.u8("errno"),
    errorText: string8(reader, "errorText"),
    cipher: reader.u8("cipher"),
    mac: reader.u8("mac"),
    zip: reader.u8("zip"),
    realm: string8(reader, "realm"),
    ttl: reader.u32("ttl"),
    originAddress: reader.view(reader.u8("originAddress"), "originAddress"),
    encodeTime: reader.u32("encodeTime"),
    decodeTime: reader.u32("decodeTime"),
    uid: reader.u32("uid"),
    gid: reader.u32("gid"),
    uidRestriction: reader.u32("uidRestriction"),
    gidRestriction: reader.u32("gidRestriction"),
    payload: reader.view(reader.u32("payload"), "payload"),
  };
}

/** Header and body of a request for munged's status; `retry` is 0 on the first try. */
export function formatStatusRequest(retry: number): Uint8Array {
  return new FieldWriter(0, MESSAGE_TYPE.statusRequest, retry).done();
}

/** Header and body of a status response: JSON; `retry` is that of the request. */
export function formatStatusResponse(json: string, retry: number): Uint8Array {
  const bytes = new TextEncoder().encode(json);
  return new FieldWriter(4 + bytes.length, MESSAGE_TYPE.statusResponse, retry)
    .u32(bytes.length).bytes(bytes)
    .done();
}

/** The JSON of a status response's body. */
export function parseStatusResponse(body: Uint8Array): string {
  const reader = readerOf(body, MESSAGE_TYPE.statusResponse);
  return new TextDecoder().decode(reader.view(reader.u32("status"), "status"));
}

/** Header and body of a request for munged's limits; `retry` is 0 on the first try. */
export function formatLimitsRequest(retry: number): Uint8Array {
  return new FieldWriter(0, MESSAGE_TYPE.limitsRequest, retry).done();
}

/** Header and body of a limits response: the maximum length of a payload; `retry` is that of the request. */
export function formatLimitsResponse(maxPayload: number, retry: number): Uint8Array {
  return new FieldWriter(4, MESSAGE_TYPE.limitsResponse, retry).u32(maxPayload).done();
}

/** The maximum length of a payload in a limits response's body; fields that a later munged may add are ignored. */
export function parseLimitsResponse(body: Uint8Array): number {
  return readerOf(body, MESSAGE_TYPE.limitsResponse).u32("maxPayload");
}

/** Header and body of a request to keep the connection for further requests; `retry` is 0 on the first try. */
export function formatKeepRequest(retry: number): Uint8Array {
  return new FieldWriter(0, MESSAGE_TYPE.keepRequest, retry).done();
}

/** Header and body of a keep response; `retry` is that of the request. */
export function formatKeepResponse(terms: KeepTerms, retry: number): Uint8Array {
  return new FieldWriter(12, MESSAGE_TYPE.keepResponse, retry)
    .u32(terms.idleMs).u32(terms.maxLength).u32(terms.maxInFlight)
    .done();
}

/** The fields of a keep response's body; fields that a later munged may add are ignored. */
export function parseKeepResponse(body: Uint8Array): KeepTerms {
  const reader = readerOf(body, MESSAGE_TYPE.keepResponse);
  return {
    idleMs: reader.u32("idleMs"),
    maxLength: reader.u32("maxLength"),
    maxInFlight: reader.u32("maxInFlight"),
  };
}
