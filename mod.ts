/**
 * MUNGE for TypeScript: makes and checks the credentials with which a process proves its UID and GID to another
 * process, on any host of a cluster that shares a key. munged, ours or the C one, must be running on the host. For
 * Bun, Deno and Node.js, in plain TypeScript.
 *
 * @example
 * ```ts
 * import { decode, encode } from "mungebox";
 *
 * const credential = await encode("hello");
 * const { payload, uid } = await decode(credential, { as: "text" });
 * console.log(payload, uid === process.getuid?.()); // "hello" true
 * ```
 *
 * @module
 */
export {
  type CallOptions,
  type CredentialOptions,
  encode,
  type EncodeOptions,
} from "./lib/client/encode.ts";
export { encodeMany } from "./lib/client/encode_many.ts";
export {
  type AcceptOptions,
  decode,
  type DecodedAs,
  type DecodeOptions,
  type FormlessOptions,
  type PayloadAs,
} from "./lib/client/decode.ts";
export { decodeSync, encodeSync } from "./lib/client/sync.ts";
export type {
  Credential,
  DecodedCredential,
  RejectionCode,
} from "./lib/client/decoded_credential.ts";
export { CredentialSource, type CredentialSourceOptions } from "./lib/client/credential_source.ts";
export { Munge, type MungeOptions } from "./lib/client/munge.ts";
export { MAX_PAYLOAD_LENGTH } from "./lib/credential/fields.ts";
export { TTL_DEFAULT, TTL_MAXIMUM } from "./lib/protocol/message.ts";
export { DEFAULT_SOCKET } from "./lib/paths.ts";
export { ciphers, type Enumeration, macs, zips } from "./lib/client/enumerations.ts";
export type { CipherName } from "./lib/credential/cipher.ts";
export type { MacName } from "./lib/credential/mac.ts";
export type { ZipName } from "./lib/credential/zip.ts";
export {
  LibraryError,
  type LibraryErrorCode,
  MungeError,
  RejectedCredentialError,
  type RequestError,
} from "./lib/client/errors.ts";
export {
  type CodedError,
  ERRNO,
  errorCode,
  errorText,
  type MungeErrorCode,
  type MungeErrorOptions,
} from "./lib/errors.ts";
