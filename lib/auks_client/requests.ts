// The requests of AUKS, each with the original's error if it fails, followed by the reason.
import { AuksError, type AuksErrorName } from "../auks/errors.ts";
import { type AddReport, parseReply, type Reply } from "../auks/reply.ts";
import { formatRequest, type Request } from "../auks/request.ts";
import type { Dialect, PackedCredential } from "../auks/packed_credential.ts";
import type { Context } from "../krb5/context.ts";
import { type ClientSettings, RequestFailure, withSession } from "./client.ts";
import type { Session } from "./session.ts";

/** Maximum length of a reply: a credential of any dialect has 33 KB, and a dump has one per user. */
const MAX_REPLY_LENGTH = 1 << 20;
const MAX_DUMP_LENGTH = 1 << 30;

type RequestType = "ping" | "add" | "get" | "remove" | "dump";
type RequestOf<T extends RequestType> = { readonly type: T } & Request;
type ReplyOf<T extends RequestType> = { readonly type: T } & Reply;

/** The error to report for any failure; undefined where the original reports a specific one. */
const REPORTED: Readonly<
  Record<
    RequestType,
    { readonly failed: AuksErrorName | undefined; readonly refused: AuksErrorName }
  >
> = {
  ping: { failed: "API_REQUEST", refused: "API_REPLY_TYPE" },
  add: { failed: undefined, refused: "API_REPLY_TYPE" },
  get: { failed: "API_REPLY_CORRUPTED", refused: "API_REPLY_CORRUPTED" },
  remove: { failed: "API_REQUEST", refused: "API_REPLY_TYPE" },
  dump: { failed: "API_REQUEST", refused: "API_REPLY_TYPE" },
};

/** Checks that the daemon answers. @throws {AuksError} */
export async function ping(context: Context, settings: ClientSettings): Promise<void> {
  await request(context, settings, { type: "ping" });
}

/**
 * Sends the daemon a credential.
 *
 * @param krbCred from {@linkcode import("./outgoing_credential.ts").prepareCredential}.
 * @returns what the daemon did with it, if the daemon is ours.
 * @throws {AuksError}
 */
export async function add(
  context: Context,
  settings: ClientSettings,
  krbCred: Uint8Array,
): Promise<AddReport | undefined> {
  return (await request(context, settings, { type: "add", krbCred })).report;
}

/** Fetches a user's credential. @throws {AuksError} */
export async function get(
  context: Context,
  settings: ClientSettings,
  uid: number,
): Promise<PackedCredential> {
  return requireOwner(
    uid,
    (await request(context, settings, { type: "get", uid, anyDialect: true })).credential,
  );
}

function requireOwner(uid: number, credential: PackedCredential): PackedCredential {
  if (credential.uid === uid) return credential;
  credential.krbCred.fill(0);
  throw new AuksError(
    "API_REPLY_CORRUPTED",
    `the daemon sent the ticket of uid ${credential.uid} instead of that of uid ${uid}`,
  );
}

/**
 * Fetches a user's credential in order to renew it; our auksd then refuses other renewers for a while.
 *
 * @throws {AuksError} RENEW_IN_PROGRESS if another renewer was first.
 */
export async function claim(
  context: Context,
  settings: ClientSettings,
  uid: number,
): Promise<PackedCredential> {
  const message = { type: "get", uid, anyDialect: true, claim: true } as const;
  return requireOwner(uid, (await request(context, settings, message)).credential);
}

/** The layout in which the daemon writes a user's credential for clients of the original. @throws {AuksError} */
export async function dialectOf(
  context: Context,
  settings: ClientSettings,
  uid: number,
): Promise<Dialect> {
  return (await request(context, settings, { type: "get", uid })).dialect;
}

/** Makes the daemon remove a user's credential. @throws {AuksError} */
export async function remove(
  context: Context,
  settings: ClientSettings,
  uid: number,
): Promise<void> {
  await request(context, settings, { type: "remove", uid });
}

/** Fetches the credentials of all users. @throws {AuksError} */
export async function dump(
  context: Context,
  settings: ClientSettings,
): Promise<readonly PackedCredential[]> {
  return (await request(context, settings, { type: "dump", anyDialect: true })).credentials;
}

async function request<T extends RequestType>(
  context: Context,
  settings: ClientSettings,
  message: RequestOf<T>,
): Promise<ReplyOf<T>> {
  try {
    return await withSession(context, settings, (session) => requestOf<T>(session, message));
  } catch (error) {
    if (!(error instanceof RequestFailure)) throw error;
    throw new AuksError(REPORTED[message.type].failed ?? error.error, error.message);
  }
}

/**
 * Makes one request in an open session.
 *
 * @throws {AttemptFailure} if the connection fails.
 * @throws {AuksError} for a refusal or an unintelligible reply.
 */
async function requestOf<T extends RequestType>(
  session: Session,
  message: RequestOf<T>,
): Promise<ReplyOf<T>> {
  const { refused } = REPORTED[message.type];
  const most = message.type === "dump" ? MAX_DUMP_LENGTH : MAX_REPLY_LENGTH;
  const reply = parseReply(await session.request(formatRequest(message as Request), most));
  if (reply.type === "error") {
    const isClaimed = reply.reason === "claimed";
    throw new AuksError(
      isClaimed ? "RENEW_IN_PROGRESS" : refused,
      reply.text || likelyReason(message),
    );
  }
  if (reply.type !== message.type) {
    throw new AuksError(refused, `the daemon answered a different kind of request (${reply.type})`);
  }
  return reply as ReplyOf<T>;
}

/** The original's daemon gives no reason. */
function likelyReason(message: Request): string {
  switch (message.type) {
    case "get":
    case "remove":
      return `nothing is stored for uid ${message.uid}, or it is not ours to ask for`;
    case "dump":
      return "refused: only admins may list";
    default:
      return "the daemon refused";
  }
}
