// What `auks --send` writes and `auks --receive` reads: a packed credential with its length before it.
import { AuksError } from "./errors.ts";
import { MESSAGE_TYPE } from "./message.ts";
import {
  packCredential,
  type PackedCredential,
  packedLength,
  unpackCredential,
} from "./packed_credential.ts";
import { MAX_KRB_CRED_LENGTH } from "./krb_cred.ts";

/** Bytes of the length, before the message. */
export const SEND_HEADER_LENGTH = 8;
/** Most bytes of the message, and the only number of them that the original writes. */
const MAX_MESSAGE_LENGTH = 4 + packedLength(MAX_KRB_CRED_LENGTH, "head", false);

/**
 * Writes what `auks --send` sends. The length is little-endian, as on every machine that mungebox is for; the
 * original has the machine's own order.
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
 * How many bytes follow the length.
 *
 * @param header the first 8 bytes.
 * @returns the number of bytes of the message.
 * @throws {AuksError} API_REPLY_CORRUPTED if they are no length of such a message, of either byte order.
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
 * Reads what `auks --send` wrote.
 *
 * @param bytes all of it, and nothing behind it.
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
    throw notSent(`${message.length} bytes in place of ${length}`);
  }
  const type = new DataView(message.buffer, message.byteOffset).getUint32(0);
  if (type !== MESSAGE_TYPE.credDump) throw notSent(`a message of type ${type}`);
  return unpackCredential(message, 4).credential;
}

function notSent(why: string): AuksError {
  return new AuksError("API_REPLY_CORRUPTED", `not what auks --send writes: ${why}`);
}
