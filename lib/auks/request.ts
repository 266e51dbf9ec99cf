// AUKS's requests, inside a KRB-PRIV: parsing and formatting. Our clients' additions come after the part that the original
// reads; it ignores them.
import { AuksError } from "./errors.ts";
import { MAX_KRB_CRED_LENGTH } from "./krb_cred.ts";
import { formatNumbers, MESSAGE_TYPE, u32At } from "./message.ts";

/** A request to the daemon. */
export type Request =
  | { readonly type: "ping" | "list" | "close" }
  | { readonly type: "dump"; readonly anyDialect?: boolean }
  | {
    readonly type: "get";
    readonly uid: number;
    readonly anyDialect?: boolean;
    readonly claim?: boolean;
  }
  | {
    readonly type: "add";
    readonly krbCred: Uint8Array;
    readonly replicated?: boolean;
    readonly resent?: boolean;
  }
  | {
    readonly type: "remove";
    readonly uid: number;
    readonly replicated?: boolean;
    /** When the peer received the request, seconds since the epoch; a ticket that starts later is kept. */
    readonly removedAt?: number;
  };

/** Our additions to a request. */
export interface RequestMark {
  /** Sent by the other daemon of the pair, to which it need not be forwarded. */
  readonly replicated?: boolean;
  /** Sent again after a lost connection, during which the ticket may have been removed. */
  readonly resent?: boolean;
  /** The client can read every packing of credentials. */
  readonly anyDialect?: boolean;
  /** The client will renew the ticket; others that want to do so must be refused. */
  readonly claim?: boolean;
}

/** Maximum size of a request: an ADD of the largest KRB-CRED, with our additions. */
export const MAX_REQUEST_LENGTH = 4 + 4 + MAX_KRB_CRED_LENGTH + 8;

/** Start of our additions to a request: "mbox", followed by the sum of {@linkcode MARKS}. */
const MARK = 0x6d62_6f78;
const MARK_LENGTH = 8;
/** The numbers of our additions. */
export const MARKS = {
  replicated: 1,
  anyDialect: 2,
  resent: 4,
  claim: 8,
} as const satisfies Record<
  keyof RequestMark,
  number
>;

/**
 * Formats a request.
 *
 * @param request the request.
 * @returns its bytes; the caller wipes those of an ADD.
 *
 * @example
 * ```ts
 * import { formatRequest } from "./lib/auks/request.ts";
 *
 * console.log([...formatRequest({ type: "get", uid: 2000 })]); // [ 0, 0, 0, 3, 0, 0, 7, 208 ]
 * ```
 */
export function formatRequest(request: Request): Uint8Array {
  switch (request.type) {
    case "add": {
      const { krbCred } = request;
      const mark = formatMark(request);
      const bytes = new Uint8Array(8 + krbCred.length + mark.length);
      bytes.set(formatNumbers([MESSAGE_TYPE.add, krbCred.length]));
      bytes.set(krbCred, 8);
      bytes.set(mark, 8 + krbCred.length);
      return bytes;
    }
    case "get":
      return formatNumbers([MESSAGE_TYPE.get, request.uid], formatMark(request));
    case "remove": {
      const { uid, removedAt } = request;
      if (removedAt === undefined) {
        return formatNumbers([MESSAGE_TYPE.remove, uid], formatMark(request));
      }
      return formatNumbers([MESSAGE_TYPE.remove, uid, MARK, MARKS.replicated, removedAt]);
    }
    case "dump":
      return formatNumbers([MESSAGE_TYPE.dump], formatMark(request));
    default:
      return formatNumbers([MESSAGE_TYPE[request.type]]);
  }
}

function formatMark(
  mark: RequestMark,
): Uint8Array {
  const names = Object.keys(MARKS) as (keyof RequestMark)[];
  const sum = names.reduce((sum, name) => mark[name] === true ? sum + MARKS[name] : sum, 0);
  return sum === 0 ? new Uint8Array(0) : formatNumbers([MARK, sum]);
}

/** Whether the addition at `at`, at the end of the request, contains this mark. */
function hasMark(bytes: Uint8Array, at: number, name: keyof RequestMark): boolean {
  return bytes.length === at + MARK_LENGTH && u32At(bytes, at) === MARK &&
    (u32At(bytes, at + 4) & MARKS[name]) !== 0;
}

/**
 * Parses a request. As in the original, truncated numbers are padded with zeros, and anything after a request is ignored.
 *
 * @param bytes the payload of a KRB-PRIV.
 * @returns the request; the KRB-CRED of an ADD is an unparsed view of the bytes.
 * @throws {AuksError} AUKSD_UNKNOWN_REQUEST; for an ADD also CRED_NULL, CRED_TOO_LARGE, or CRED_READ if it is shorter than
 * its stated length.
 *
 * @example
 * ```ts
 * import { parseRequest } from "./lib/auks/request.ts";
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
      return {
        type: "get",
        uid: u32At(bytes, 4),
        anyDialect: hasMark(bytes, 8, "anyDialect"),
        claim: hasMark(bytes, 8, "claim"),
      };
    case MESSAGE_TYPE.remove:
      return parseRemove(bytes);
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
    throw new AuksError("CRED_READ", `${bytes.length - 8} bytes instead of ${length}`);
  }
  return {
    type: "add",
    krbCred: bytes.subarray(8, 8 + length),
    replicated: hasMark(bytes, 8 + length, "replicated"),
    resent: hasMark(bytes, 8 + length, "resent"),
  };
}

function parseRemove(bytes: Uint8Array): Request {
  const uid = u32At(bytes, 4);
  const marked = 8 + MARK_LENGTH;
  if (bytes.length === marked + 4 && hasMark(bytes.subarray(0, marked), 8, "replicated")) {
    return { type: "remove", uid, replicated: true, removedAt: u32At(bytes, marked) };
  }
  return { type: "remove", uid, replicated: hasMark(bytes, 8, "replicated") };
}
