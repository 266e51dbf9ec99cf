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
 * const { payload, uid, gid } = await decode(credential);
 * console.log(new TextDecoder().decode(payload), uid === process.getuid?.(), gid >= 0); // "hello" true true
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
export { type AcceptOptions, decode, type DecodeOptions } from "./lib/client/decode.ts";
export { decodeSync, encodeSync } from "./lib/client/sync.ts";
export type { Credential, DecodedCredential } from "./lib/client/decoded_credential.ts";
export { CredentialSource, type CredentialSourceOptions } from "./lib/client/credential_source.ts";
export { openCredential, sealCredential, type SealOptions } from "./lib/offline/offline.ts";
export { MungeClient, type TransactOptions } from "./lib/client/client.ts";
export {
  ANY_ID,
  type DecodeRequest,
  type DecodeResponse,
  type EncodeRequest,
  type EncodeResponse,
  MAX_PAYLOAD_LENGTH,
  TTL_DEFAULT,
  TTL_MAXIMUM,
} from "./lib/protocol/message.ts";
export { DEFAULT_SOCKET } from "./lib/paths.ts";
export { ciphers, type Enumeration, macs, zips } from "./lib/client/enumerations.ts";
export type { CipherName } from "./lib/credential/cipher.ts";
export type { MacName } from "./lib/credential/mac.ts";
export type { ZipName } from "./lib/credential/zip.ts";
export {
  ERRNO,
  errorCode,
  errorText,
  MungeError,
  type MungeErrorCode,
  type MungeErrorOptions,
} from "./lib/errors.ts";
