// AUKS's replies, inside a KRB-PRIV: parsing and formatting. Our additions come after the part that the original reads; it
// ignores them.
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

/** The effect of an ADD: stored the new credential, or kept a better one. */
export type AddOutcome = "stored" | "kept";

/** Our daemon's report on a successful ADD. */
export interface AddReport {
  readonly outcome: AddOutcome;
  /** The credential's owner. */
  readonly uid: number;
  /** When the stored credential expires, seconds since the epoch. */
  readonly endtime: number;
  /** Until when it can be renewed; 0 if it can't. */
  readonly renewTill: number;
}

/** A reply of the daemon. */
export type Reply =
  | { readonly type: "ping" | "remove" }
  | {
    readonly type: "add";
    /** Only from our daemons. */
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
    /** Only from our daemons. */
    readonly reason: Reason | undefined;
    /** The reason in words; empty without one. */
    readonly text: string;
  };

/** How the daemon packs credentials. */
export interface Packing {
  readonly dialect: Dialect;
  /** Without padding, which AUKS 0.5.3 and later can read. */
  readonly compact: boolean;
}

const OUTCOMES: readonly AddOutcome[] = ["kept", "stored"];
/** Maximum length of an ERROR reply's text in bytes. */
const MAX_TEXT_LENGTH = 1024;
const utf8 = new TextDecoder("utf-8");
const toUtf8 = new TextEncoder();

/**
 * The reply to a successful PING, LIST or REMOVE.
 *
 * @param type the request; LIST has the same reply as PING.
 * @returns the reply's bytes.
 */
export function formatPlainReply(type: "ping" | "remove"): Uint8Array {
  return formatNumbers([type === "ping" ? MESSAGE_TYPE.pingReply : MESSAGE_TYPE.removeReply]);
}

/**
 * The reply to a successful ADD: the original's, followed by our report.
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
 * The reply to a successful GET.
 *
 * @param credential the stored credential.
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
 * The reply to a DUMP. The original sorts by the UID's decimal string; here the caller decides the order.
 *
 * @param credentials all stored credentials.
 * @param packing how to pack them; the caller must leave out those too large for the dialect.
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
 * The reply to a refused or failed request: the original's, followed by the reason as a number, the length of a text, and
 * the text.
 *
 * @param reason the reason.
 * @param text the reason in words; by default the table's.
 * @returns the reply's bytes.
 */
export function formatErrorReply(reason: Reason, text: string = REASONS[reason][2]): Uint8Array {
  const tail = toUtf8.encode(text).subarray(0, MAX_TEXT_LENGTH);
  return formatNumbers([MESSAGE_TYPE.errorReply, REASONS[reason][0], tail.length], tail);
}

/**
 * Parses a reply.
 *
 * @param bytes the payload of a KRB-PRIV.
 * @returns the reply; KRB-CREDs are unparsed views of the bytes.
 * @throws {AuksError} API_REPLY_TYPE if it is not a reply; API_REPLY_CORRUPTED if it is incomplete.
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
  // Each iteration consumes existing bytes, so a wrong count allocates nothing.
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
  // The text will be printed to a terminal.
  const text = utf8.decode(bytes.subarray(12, 12 + length)).replace(/\p{Cc}/gu, " ");
  return { type: "error", reason: reasonOfNumber(u32At(bytes, 4)), text };
}
