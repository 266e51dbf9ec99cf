// The replies of AUKS as they are within a KRB-PRIV: from bytes, to bytes. What ours says beyond the original stands
// behind what the original reads, which ignores it.
import { AuksError } from "./errors.ts";
import { formatNumbers, MESSAGE_TYPE, u32At } from "./message.ts";
import {
  type Dialect,
  packCredential,
  type PackedCredential,
  packedLength,
  unpackCredential,
} from "./packed_credential.ts";
import { type Reason, reasonOfNumber, REASONS } from "./reasons.ts";

/** What an ADD did to the store: it took what came, or kept the better one that was there. */
export type AddOutcome = "stored" | "kept";

/** What our daemon says of an ADD that succeeded. */
export interface AddReport {
  readonly outcome: AddOutcome;
  /** The user whose credential it is. */
  readonly uid: number;
  /** When what is stored now ends, seconds since the epoch. */
  readonly endtime: number;
  /** Until when it can be renewed; 0 if it can't. */
  readonly renewTill: number;
}

/** A reply of the daemon. */
export type Reply =
  | { readonly type: "ping" | "remove" }
  | {
    readonly type: "add";
    /** Of our daemons only. */
    readonly report: AddReport | undefined;
  }
  | { readonly type: "get"; readonly credential: PackedCredential; readonly dialect: Dialect }
  | {
    readonly type: "dump";
    readonly credentials: readonly PackedCredential[];
    /** That of the first credential. */
    readonly dialect: Dialect | undefined;
  }
  | {
    readonly type: "error";
    /** Of our daemons only. */
    readonly reason: Reason | undefined;
    /** The reason in words; empty without one. */
    readonly text: string;
  };

/** How the daemon packs credentials. */
export interface Packing {
  readonly dialect: Dialect;
  /** Without padding, which AUKS 0.5.3 and later read. */
  readonly compact: boolean;
}

const OUTCOMES: readonly AddOutcome[] = ["kept", "stored"];
/** Most bytes of an ERROR reply's text. */
const MAX_TEXT_LENGTH = 1024;
const utf8 = new TextDecoder("utf-8");
const toUtf8 = new TextEncoder();

/**
 * The reply to a PING, a LIST or a REMOVE that succeeded.
 *
 * @param type the request; LIST has the reply of PING.
 * @returns the reply's bytes.
 */
export function formatPlainReply(type: "ping" | "remove"): Uint8Array {
  return formatNumbers([type === "ping" ? MESSAGE_TYPE.pingReply : MESSAGE_TYPE.removeReply]);
}

/**
 * The reply to an ADD that succeeded: the original's, and behind it what was done.
 *
 * @param report what was done.
 * @returns the reply's bytes.
 */
export function formatAddReply(report: AddReport): Uint8Array {
  return formatNumbers([
    MESSAGE_TYPE.addReply,
    OUTCOMES.indexOf(report.outcome),
    report.uid,
    report.endtime,
    report.renewTill,
  ]);
}

/**
 * The reply to a GET that succeeded.
 *
 * @param credential what is stored.
 * @param packing how to pack it.
 * @returns the reply's bytes; the caller wipes them.
 * @throws {AuksError} as packCredential().
 */
export function formatGetReply(credential: PackedCredential, packing: Packing): Uint8Array {
  const { dialect, compact } = packing;
  const bytes = new Uint8Array(4 + packedLength(credential.krbCred.length, dialect, compact));
  new DataView(bytes.buffer).setUint32(0, MESSAGE_TYPE.getReply);
  return packCredential(credential, dialect, compact, bytes, 4);
}

/**
 * The reply to a DUMP. The original lists by the uid's decimal string; the order is the caller's business.
 *
 * @param credentials everything that is stored.
 * @param packing how to pack them; those that are too large for the dialect have to be left out before.
 * @returns the reply's bytes; the caller wipes them.
 * @throws {AuksError} as packCredential().
 */
export function formatDumpReply(
  credentials: readonly PackedCredential[],
  { dialect, compact }: Packing,
): Uint8Array {
  let length = 8;
  for (const { krbCred } of credentials) length += packedLength(krbCred.length, dialect, compact);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MESSAGE_TYPE.dumpReply);
  view.setUint32(4, credentials.length);
  let at = 8;
  for (const credential of credentials) {
    packCredential(credential, dialect, compact, bytes, at);
    at += packedLength(credential.krbCred.length, dialect, compact);
  }
  return bytes;
}

/**
 * The reply to a request that was refused or failed: the original's, and behind it why, as a number, the length
 * of a text, and the text.
 *
 * @param reason why.
 * @param text the reason in words; that of the table if left out.
 * @returns the reply's bytes.
 */
export function formatErrorReply(reason: Reason, text: string = REASONS[reason][2]): Uint8Array {
  const tail = toUtf8.encode(text).subarray(0, MAX_TEXT_LENGTH);
  return formatNumbers([MESSAGE_TYPE.errorReply, REASONS[reason][0], tail.length], tail);
}

/**
 * Reads a reply.
 *
 * @param bytes the payload of a KRB-PRIV.
 * @returns the reply; KRB-CREDs are views of the bytes and have not been looked into.
 * @throws {AuksError} API_REPLY_TYPE if it is no reply; API_REPLY_CORRUPTED if its content is not whole.
 *
 * @example
 * ```ts
 * import { formatErrorReply, parseReply } from "./lib/auks/reply.ts";
 *
 * const reply = parseReply(formatErrorReply("notFound"));
 * if (reply.type === "error") console.log(reply.text); // "no ticket is stored for this user"
 * ```
 */
export function parseReply(bytes: Uint8Array): Reply {
  switch (u32At(bytes, 0)) {
    case MESSAGE_TYPE.pingReply:
      return { type: "ping" };
    case MESSAGE_TYPE.removeReply:
      return { type: "remove" };
    case MESSAGE_TYPE.addReply:
      return { type: "add", report: parseReport(bytes) };
    case MESSAGE_TYPE.getReply: {
      const { credential, dialect } = unpackCredential(bytes, 4);
      return { type: "get", credential, dialect };
    }
    case MESSAGE_TYPE.dumpReply:
      return parseDump(bytes);
    case MESSAGE_TYPE.errorReply:
      return parseError(bytes);
    default:
      throw new AuksError("API_REPLY_TYPE", `type ${u32At(bytes, 0)}`);
  }
}

function parseReport(bytes: Uint8Array): AddReport | undefined {
  const outcome = OUTCOMES[u32At(bytes, 4)];
  if (bytes.length < 20 || outcome === undefined) return undefined;
  return {
    outcome,
    uid: u32At(bytes, 8),
    endtime: u32At(bytes, 12),
    renewTill: u32At(bytes, 16),
  };
}

function parseDump(bytes: Uint8Array): Reply {
  const count = u32At(bytes, 4);
  const credentials: PackedCredential[] = [];
  let dialect: Dialect | undefined;
  let at = 8;
  // Each turn takes bytes that are there, so the count allocates nothing.
  for (let i = 0; i < count; i++) {
    const unpacked = unpackCredential(bytes, at);
    credentials.push(unpacked.credential);
    dialect ??= unpacked.dialect;
    at += unpacked.length;
  }
  return { type: "dump", credentials, dialect };
}

function parseError(bytes: Uint8Array): Reply {
  const length = u32At(bytes, 8);
  if (bytes.length < 12 || length > MAX_TEXT_LENGTH || 12 + length > bytes.length) {
    return { type: "error", reason: undefined, text: "" };
  }
  // The text goes to a terminal.
  const text = utf8.decode(bytes.subarray(12, 12 + length)).replace(/\p{Cc}/gu, " ");
  return { type: "error", reason: reasonOfNumber(u32At(bytes, 4)), text };
}
