// The requests of AUKS and the replies to them, as they are within a KRB-PRIV: from bytes, to bytes. What ours
// adds stands behind what the original reads, which ignores it.
import { AuksError } from "./errors.ts";
import { MAX_KRB_CRED_LENGTH } from "./krb_cred.ts";
import {
  type Dialect,
  packCredential,
  type PackedCredential,
  packedLength,
  unpackCredential,
} from "./packed_credential.ts";
import { type Reason, reasonOfNumber, REASONS } from "./reasons.ts";

/** The number of each message. */
export const MESSAGE_TYPE = {
  ping: 0,
  list: 1,
  add: 2,
  get: 3,
  remove: 4,
  close: 5,
  dump: 6,
  /** In the files of `auks --send` only. */
  credDump: 7,
  pingReply: 20,
  errorReply: 21,
  addReply: 23,
  getReply: 24,
  removeReply: 25,
  dumpReply: 26,
} as const;

/** A request to the daemon. */
export type Request =
  | { readonly type: "ping" | "list" | "close" }
  | { readonly type: "dump"; readonly anyDialect?: boolean }
  | { readonly type: "get"; readonly uid: number; readonly anyDialect?: boolean }
  | { readonly type: "add"; readonly krbCred: Uint8Array; readonly replicated?: boolean }
  | { readonly type: "remove"; readonly uid: number; readonly replicated?: boolean };

/** What ours say of a request behind it. */
export interface RequestMark {
  /** The other daemon of the pair sends this, which need not be told of it again. */
  readonly replicated?: boolean;
  /** The client reads credentials however they are packed. */
  readonly anyDialect?: boolean;
}

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

/** Largest request: ADD of the largest KRB-CRED, and what ours puts behind it. */
export const MAX_REQUEST_LENGTH = 4 + 4 + MAX_KRB_CRED_LENGTH + 8;

/** Opens what ours put behind a request: "mbox", and then the sum of {@linkcode MARKS}. */
const MARK = 0x6d62_6f78;
const MARK_LENGTH = 8;
const MARKS = { replicated: 1, anyDialect: 2 } as const satisfies Record<keyof RequestMark, number>;
const OUTCOMES: readonly AddOutcome[] = ["kept", "stored"];
/** Most bytes of an ERROR reply's text. */
const MAX_TEXT_LENGTH = 1024;
const utf8 = new TextDecoder("utf-8");
const toUtf8 = new TextEncoder();

/** A buffer of 4-byte numbers, and bytes behind them. */
function message(numbers: readonly number[], tail?: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 * numbers.length + (tail?.length ?? 0));
  const view = new DataView(bytes.buffer);
  numbers.forEach((number, i) => view.setUint32(4 * i, number));
  if (tail !== undefined) bytes.set(tail, 4 * numbers.length);
  return bytes;
}

/** A 4-byte number, of which bytes that are missing at the end count as zeros. */
function u32At(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 24 | (bytes[at + 1] ?? 0) << 16 | (bytes[at + 2] ?? 0) << 8 |
    (bytes[at + 3] ?? 0)) >>> 0;
}

/**
 * Writes a request.
 *
 * @param request the request.
 * @returns its bytes; the caller wipes those of an ADD.
 *
 * @example
 * ```ts
 * import { formatRequest } from "./lib/auks/message.ts";
 *
 * console.log(formatRequest({ type: "get", uid: 2000 })); // 0 0 0 3, 0 0 7 208
 * ```
 */
export function formatRequest(request: Request): Uint8Array {
  switch (request.type) {
    case "add": {
      const { krbCred } = request;
      const mark = formatMark(request);
      const bytes = new Uint8Array(8 + krbCred.length + mark.length);
      bytes.set(message([MESSAGE_TYPE.add, krbCred.length]));
      bytes.set(krbCred, 8);
      bytes.set(mark, 8 + krbCred.length);
      return bytes;
    }
    case "get":
    case "remove":
      return message([MESSAGE_TYPE[request.type], request.uid], formatMark(request));
    case "dump":
      return message([MESSAGE_TYPE.dump], formatMark(request));
    default:
      return message([MESSAGE_TYPE[request.type]]);
  }
}

function formatMark({ replicated = false, anyDialect = false }: RequestMark): Uint8Array {
  const sum = (replicated ? MARKS.replicated : 0) + (anyDialect ? MARKS.anyDialect : 0);
  return sum === 0 ? new Uint8Array(0) : message([MARK, sum]);
}

/** Whether the mark that begins at `at`, and ends the request, says this. */
function hasMark(bytes: Uint8Array, at: number, name: keyof RequestMark): boolean {
  return bytes.length === at + MARK_LENGTH && u32At(bytes, at) === MARK &&
    (u32At(bytes, at + 4) & MARKS[name]) !== 0;
}

/**
 * Reads a request. Numbers that are cut off count as if zeros followed, and what is behind a request is ignored,
 * as in the original.
 *
 * @param bytes the payload of a KRB-PRIV.
 * @returns the request; the KRB-CRED of an ADD is a view of the bytes and has not been looked into.
 * @throws {AuksError} AUKSD_UNKNOWN_REQUEST; of an ADD CRED_NULL, CRED_TOO_LARGE, or CRED_READ if it is shorter
 * than it says.
 *
 * @example
 * ```ts
 * import { parseRequest } from "./lib/auks/message.ts";
 *
 * console.log(parseRequest(Uint8Array.of(0, 0, 0, 6)).type); // "dump"
 * ```
 */
export function parseRequest(bytes: Uint8Array): Request {
  switch (u32At(bytes, 0)) {
    case MESSAGE_TYPE.ping:
      return { type: "ping" };
    case MESSAGE_TYPE.list:
      return { type: "list" };
    case MESSAGE_TYPE.add:
      return parseAdd(bytes);
    case MESSAGE_TYPE.get:
      return { type: "get", uid: u32At(bytes, 4), anyDialect: hasMark(bytes, 8, "anyDialect") };
    case MESSAGE_TYPE.remove:
      return { type: "remove", uid: u32At(bytes, 4), replicated: hasMark(bytes, 8, "replicated") };
    case MESSAGE_TYPE.close:
      return { type: "close" };
    case MESSAGE_TYPE.dump:
      return { type: "dump", anyDialect: hasMark(bytes, 4, "anyDialect") };
    default:
      throw new AuksError("AUKSD_UNKNOWN_REQUEST", `type ${u32At(bytes, 0)}`);
  }
}

function parseAdd(bytes: Uint8Array): Request {
  const length = u32At(bytes, 4);
  if (length === 0) throw new AuksError("CRED_NULL");
  if (length > MAX_KRB_CRED_LENGTH) {
    throw new AuksError("CRED_TOO_LARGE", `${length} bytes, at most ${MAX_KRB_CRED_LENGTH}`);
  }
  if (8 + length > bytes.length) {
    throw new AuksError("CRED_READ", `${bytes.length - 8} bytes in place of ${length}`);
  }
  return {
    type: "add",
    krbCred: bytes.subarray(8, 8 + length),
    replicated: hasMark(bytes, 8 + length, "replicated"),
  };
}

/**
 * The reply to a PING, a LIST or a REMOVE that succeeded.
 *
 * @param type the request; LIST has the reply of PING.
 * @returns the reply's bytes.
 */
export function formatPlainReply(type: "ping" | "remove"): Uint8Array {
  return message([type === "ping" ? MESSAGE_TYPE.pingReply : MESSAGE_TYPE.removeReply]);
}

/**
 * The reply to an ADD that succeeded: the original's, and behind it what was done.
 *
 * @param report what was done.
 * @returns the reply's bytes.
 */
export function formatAddReply(report: AddReport): Uint8Array {
  return message([
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
  return message([MESSAGE_TYPE.errorReply, REASONS[reason][0], tail.length], tail);
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
 * import { formatErrorReply, parseReply } from "./lib/auks/message.ts";
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
