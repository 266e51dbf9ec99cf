// How auksd handles each request: rights, users, the store, and the reply. A refused or failed request is answered with the
// reason.
import { type Acl, type Reach, RIGHTS, type Role } from "../../lib/auks/acl.ts";
import type { Packings } from "../../lib/auks/own_config.ts";
import { AuksError } from "../../lib/auks/errors.ts";
import { type KrbCred, parseKrbCred } from "../../lib/auks/krb_cred.ts";
import { nonTgtReason, summarizeKrbCred } from "../../lib/auks/krb_cred_summary.ts";
import {
  type AddReport,
  formatAddReply,
  formatDumpReply,
  formatErrorReply,
  formatGetReply,
  formatPlainReply,
  type Packing,
} from "../../lib/auks/reply.ts";
import { parseRequest, type Request, type RequestMark } from "../../lib/auks/request.ts";
import { DIALECTS, type PackedCredential } from "../../lib/auks/packed_credential.ts";
import { reasonOfError, REASONS } from "../../lib/auks/reasons.ts";
import type { Accounts } from "./accounts.ts";
import type { InProgress } from "./in_progress.ts";
import type { Replication } from "./replication.ts";
import type { Store } from "./store.ts";

/** The client. */
export interface Requester {
  readonly principal: string;
  readonly role: Role;
  /** Its address, as text. */
  readonly address: string;
}

/** What handling requests needs. */
export interface RequestContext {
  readonly store: Store;
  readonly accounts: Accounts;
  readonly packing: Packings;
  readonly acl: Acl;
  /** Keeps the other auksd of a pair up to date, if there is one. */
  readonly replication: Replication | undefined;
  readonly inProgress: InProgress;
  /** Called with the outcome of every request. */
  finished(event: RequestEvent): void;
}

/** Requests by name; "invalid" for malformed ones. */
export type RequestKind = Request["type"] | "invalid";

/** A request and its outcome. */
export interface RequestEvent {
  readonly kind: RequestKind;
  readonly requester: Requester;
  /** Why it was refused or failed. */
  readonly error?: AuksError;
  /** What an ADD did. */
  readonly added?: AddReport & { readonly principal: string };
  /** The owner of the ticket that a REMOVE removed. */
  readonly removed?: { readonly uid: number; readonly principal: string };
  /** Whether the other daemon of the pair forwarded it. */
  readonly replicated?: boolean;
}

/** A reply's bytes, which the sender wipes; null for a request that closes the connection. */
export type Answer = Uint8Array | null;

/** Makes a large reply, when it is its turn. */
export type LargeAnswer = () => Uint8Array;

/** Answers a request; immediately, unless it has to wait for files, users or its turn. */
export function answerRequest(
  payload: Uint8Array,
  requester: Requester,
  context: RequestContext,
): Answer | Promise<Answer> | LargeAnswer {
  let request: Request;
  try {
    request = parseRequest(payload);
  } catch (error) {
    return refuse(kindOf(payload), requester, context, error);
  }
  try {
    switch (request.type) {
      case "close":
        return null;
      case "ping":
      case "list":
        context.finished({ kind: request.type, requester });
        return formatPlainReply("ping");
      case "get":
        return get(request, requester, context);
      case "dump":
        return dump(request, requester, context);
      case "add":
        return context.inProgress.run(requester, () => add(request, requester, context))
          .catch((error) => refuse("add", requester, context, error));
      case "remove":
        return context.inProgress.run(requester, () => remove(request, requester, context))
          .catch((error) => refuse("remove", requester, context, error));
    }
  } catch (error) {
    return refuse(request.type, requester, context, error);
  }
}

function kindOf(payload: Uint8Array): RequestKind {
  return payload[3] === 2 ? "add" : "invalid";
}

function refuse(
  kind: RequestKind,
  requester: Requester,
  context: RequestContext,
  cause: unknown,
): Uint8Array {
  if (!(cause instanceof AuksError)) throw cause;
  context.finished({ kind, requester, error: cause });
  const reason = reasonOfError(cause);
  const [, , text] = REASONS[reason];
  return formatErrorReply(reason, cause.reason === undefined ? text : `${text}: ${cause.reason}`);
}

/** Our clients announce that they can read every format. */
function packingFor({ anyDialect = false }: RequestMark, { packing }: RequestContext): Packing {
  return anyDialect ? packing.ours : packing.foreign;
}

function get(
  request: Request & { type: "get" },
  requester: Requester,
  context: RequestContext,
): Uint8Array {
  const { uid } = request;
  const credential = context.store.get(uid);
  if (credential === undefined) throw new AuksError("LIBRARY_NOT_FOUND", `uid ${uid}`);
  requireReach(RIGHTS[requester.role].get, requester, credential);
  // A user who claims their own ticket only keeps renewers from it, and only for seconds.
  if (request.claim === true && !context.store.claim(uid)) {
    throw new AuksError("RENEW_IN_PROGRESS", `uid ${uid}`);
  }
  const reply = formatGetReply(credential, packingFor(request, context));
  context.finished({ kind: "get", requester });
  return reply;
}

function dump(
  request: Request & { type: "dump" },
  requester: Requester,
  context: RequestContext,
): LargeAnswer {
  if (!RIGHTS[requester.role].dump) throw new AuksError("AUKSD_NOT_AUTHORIZED");
  const packing = packingFor(request, context);
  const { maxLength } = DIALECTS[packing.dialect];
  return () => {
    const fitting = context.store.all().filter(({ krbCred }) => krbCred.length <= maxLength);
    const reply = formatDumpReply(fitting, packing);
    context.finished({ kind: "dump", requester });
    return reply;
  };
}

async function add(
  request: Request & { type: "add" },
  requester: Requester,
  context: RequestContext,
): Promise<Uint8Array> {
  const { krbCred } = request;
  const { replication } = context;
  const isForwarded = request.replicated === true && requester.role === "admin";
  const cred = readTgts(krbCred, context.packing.ours);
  const { principal, addressless, starttime } = summarizeKrbCred(cred);
  if (!addressless) throw new AuksError("AUKSD_NOT_ADDRESSLESS");
  requireReach(RIGHTS[requester.role].add, requester, { principal });
  const uid = await context.accounts.uidOf(principal);
  const isOutdated = isForwarded && request.resent === true &&
    replication?.wasRemoved(uid, starttime) === true;
  const report: AddReport = isOutdated
    ? { outcome: "kept", uid, endtime: 0, renewTill: 0 }
    : await context.store.add(uid, cred, krbCred);
  if (report.outcome === "stored") {
    if (!isForwarded) await replication?.added(uid, krbCred);
    else if (request.resent !== true) await replication?.addedAgain(uid);
  }
  context.finished({
    kind: "add",
    requester,
    added: { ...report, principal },
    replicated: isForwarded,
  });
  return formatAddReply(report);
}

function readTgts(krbCred: Uint8Array, { dialect }: Packing): KrbCred {
  const { maxLength } = DIALECTS[dialect];
  if (krbCred.length > maxLength) {
    throw new AuksError(
      "CRED_TOO_LARGE",
      `it has ${krbCred.length} bytes, and AUKS ${dialect} reads at most ${maxLength}`,
    );
  }
  const cred = parseKrbCred(krbCred);
  const reason = nonTgtReason(cred);
  if (reason !== undefined) throw new AuksError("AUKSD_CORRUPTED_REQUEST", reason);
  return cred;
}

async function remove(
  request: Request & { type: "remove" },
  requester: Requester,
  context: RequestContext,
): Promise<Uint8Array> {
  const { uid, removedAt } = request;
  const { store, replication } = context;
  const isForwarded = request.replicated === true && requester.role === "admin";
  const found = store.get(uid);
  const isNewer = isForwarded && removedAt !== undefined && found !== undefined &&
    found.starttime > removedAt;
  if (found === undefined || isNewer) throw new AuksError("LIBRARY_NOT_FOUND", `uid ${uid}`);
  const { principal, endtime } = found;
  requireReach(RIGHTS[requester.role].remove, requester, found);
  if (!await store.remove(uid)) throw new AuksError("LIBRARY_NOT_FOUND", `uid ${uid}`);
  if (!isForwarded) await replication?.removed(uid, endtime);
  else if (removedAt !== undefined) await replication?.removedByPeer(uid, removedAt, endtime);
  context.finished({
    kind: "remove",
    requester,
    removed: { uid, principal },
    replicated: isForwarded,
  });
  return formatPlainReply("remove");
}

function requireReach(
  reach: Reach,
  requester: Requester,
  { principal }: Pick<PackedCredential, "principal">,
): void {
  if (reach === "none") throw new AuksError("AUKSD_NOT_AUTHORIZED");
  if (reach === "own" && principal !== requester.principal) {
    throw new AuksError("AUKSD_PRINCIPAL_MISMATCH");
  }
}
