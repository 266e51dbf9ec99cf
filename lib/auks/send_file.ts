// The format that `auks --send` writes and `auks --receive` reads: a packed credential preceded by its length.
import { AuksError } from "./errors.ts";
import { MESSAGE_TYPE } from "./message.ts";
import {
  packCredential,
  type PackedCredential,
  packedLength,
  unpackCredential,
} from "./packed_credential.ts";
import { MAX_KRB_CRED_LENGTH } from "./krb_cred.ts";

/** Size of the length before the message. */
export const SEND_HEADER_LENGTH = 8;
/** Maximum size of the message, and the only size that the original writes. */
const MAX_MESSAGE_LENGTH = 4 + packedLength(MAX_KRB_CRED_LENGTH, "head", false);

/**
 * Formats the output of `auks --send`. The length is little-endian, as on every platform of mungebox; the original uses the
 * machine's byte order.
 *
 * @param credential the credential.
 * @returns the bytes; the caller wipes them.
 * @throws {AuksError} as packCredential().
 */
export function formatSendFile(credential: PackedCredential): Uint8Array {
  const bytes = new Uint8Array(SEND_HEADER_LENGTH + MAX_MESSAGE_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(MAX_MESSAGE_LENGTH), true);
  view.setUint32(SEND_HEADER_LENGTH, MESSAGE_TYPE.credDump);
  return packCredential(credential, "head", false, bytes, SEND_HEADER_LENGTH + 4);
}

/**
 * The number of bytes after the length.
 *
 * @param header the first 8 bytes.
 * @returns the size of the message.
 * @throws {AuksError} API_REPLY_CORRUPTED if they are not a valid length in either byte order.
 */
export function sendFileLength(header: Uint8Array): number {
  if (header.length < SEND_HEADER_LENGTH) throw notSent("it is cut off");
  const view = new DataView(header.buffer, header.byteOffset);
  for (const littleEndian of [true, false]) {
    const length = view.getBigUint64(0, littleEndian);
    if (length >= 4n && length <= BigInt(MAX_MESSAGE_LENGTH)) return Number(length);
  }
  throw notSent("its length is impossible");
}

/**
 * Parses the output of `auks --send`.
 *
 * @param bytes exactly the output.
 * @returns the credential, whose KRB-CRED is a view of the bytes.
 * @throws {AuksError} API_REPLY_CORRUPTED if it is anything else.
 *
 * @example
 * ```ts
 * import { readFileSync } from "node:fs";
 * import { parseSendFile } from "./lib/auks/send_file.ts";
 *
 * const file = readFileSync("tests/auks/reference/files/send-bob");
 * console.log(parseSendFile(file).principal); // "bob@REALM.A"
 * ```
 */
export function parseSendFile(bytes: Uint8Array): PackedCredential {
  const length = sendFileLength(bytes);
  const message = bytes.subarray(SEND_HEADER_LENGTH);
  if (message.length !== length) {
    throw notSent(`${message.length} bytes instead of ${length}`);
  }
  const type = new DataView(message.buffer, message.byteOffset).getUint32(0);
  if (type !== MESSAGE_TYPE.credDump) throw notSent(`a message of type ${type}`);
  return unpackCredential(message, 4).credential;
}

function notSent(why: string): AuksError {
  return new AuksError("API_REPLY_CORRUPTED", `not what auks --send writes: ${why}`);
}
