// From a decode request to its answer: open the credential, enter it into the replay cache, ask the realm's store if it
// has one, and make the answer. lib/credential opens it.
import { noMemory, releaseLarge } from "../../../lib/bytes/memory.ts";
import type { OpenedCredential } from "../../../lib/credential/fields.ts";
import { openParsed } from "../../../lib/credential/open.ts";
import { parseOuter } from "../../../lib/credential/outer.ts";
import { MungeError, type MungeErrorCode } from "../../../lib/errors.ts";
import {
  type DecodeResponse,
  formatDecodeResponse,
  parseDecodeRequest,
  RESET_DECODE_RESPONSE,
} from "../../../lib/protocol/message.ts";
import { VERDICT } from "../replay_store/messages.ts";
import { readArmor } from "./armor_reader.ts";
import {
  addressText,
  type Answer,
  type Deferred,
  type Peer,
  type RealmReplays,
  type RequestContext,
} from "./context.ts";
import {
  PolicyRefusal,
  recordRefusal,
  requireClient,
  requireOrigin,
  requireReader,
  requireTypes,
} from "./permission.ts";
import { asMungeError, checkRetry, logRefusal, parsed, requireIdentity } from "./refusals.ts";
import { expiryOf, validityError } from "./validity.ts";

/** A decode in progress: the request and its state. */
interface Decode {
  readonly retry: number;
  /** Whether to believe that this is a retry. */
  readonly isRetry: boolean;
  readonly peer: Peer;
  /** The credential as received. */
  credential: Uint8Array;
  readonly decodeTime: number;
  /** Its contents, once one of our keys is known to have made it. */
  opened: OpenedCredential | undefined;
  /** The time-to-live granted to it, in seconds. */
  ttl: number;
  /** Why it is refused. */
  refusal: MungeError | null;
  remembered: Answer["remembered"];
}

/** Why a credential is refused without a verdict of the store. */
const UNCERTAIN = {
  [VERDICT.unavailable]: "Replay store is unavailable",
  [VERDICT.tooOld]: "Credential is older than the replay store's records",
} as const;

/** The refusal of a credential that may be a replay. The store's thread logs why, once for all credentials. */
class UncertainError extends MungeError {
  constructor(verdict: keyof typeof UNCERTAIN) {
    super("EMUNGE_SNAFU", UNCERTAIN[verdict]);
  }
}

const NOTHING = new Uint8Array(0);

/** Refusals whose answer still contains everything in the credential. */
const REFUSALS_WITH_CONTENTS: ReadonlySet<MungeErrorCode> = new Set([
  "EMUNGE_CRED_EXPIRED",
  "EMUNGE_CRED_REWOUND",
  "EMUNGE_CRED_REPLAYED",
]);

/**
 * The answer to a decode request, or one that waits for the realm's store; null for a malformed request, whose client is
 * disconnected.
 */
export function answerDecode(
  retry: number,
  isInOrder: boolean,
  body: Uint8Array,
  peer: Peer,
  context: RequestContext,
): Answer | Deferred | null {
  const request = parsed(parseDecodeRequest, body, peer, context);
  if (request === null) return null;
  const decode: Decode = {
    retry,
    // An earlier attempt may still be waiting; if it is refused as a replay, this one is a replay, too.
    isRetry: retry > 0 && isInOrder,
    peer,
    credential: request.credential,
    decodeTime: context.now(),
    opened: undefined,
    ttl: 0,
    refusal: null,
    remembered: null,
  };
  open(decode, body.length === 4, context);
  if (decode.refusal !== null) return finish(decode, context);
  const { realmReplays } = context;
  const isShared = realmReplays !== null && realmReplays.covers(decode.opened!.realm);
  remember(decode, isShared, context);
  if (isShared && decode.remembered !== null) return defer(decode, realmReplays, context);
  return finish(decode, context);
}

/** Opens the credential, and checks that this client may see it and that it is valid now. */
function open(decode: Decode, isMissing: boolean, context: RequestContext): void {
  const { retry, peer, credential, decodeTime } = decode;
  try {
    checkRetry("Decode", retry, peer, context);
    requireIdentity("decode", peer, context);
    if (isMissing) {
      throw new MungeError("EMUNGE_SNAFU", "No credential specified in decode request");
    }
    const bytes = readArmor(credential);
    const outer = parseOuter(bytes);
    const { ring, policy: { decode: policy } } = context.realmOf(outer.realm);
    requireClient(policy, outer.realm, peer, context);
    const { cipher, mac, zip } = outer;
    requireTypes(policy, cipher.number, mac.number, zip.number, outer.realm);
    const opened = openParsed(bytes, outer, ring, context.primitives, context.maxPayload);
    releaseLarge(bytes);
    context.used("decode", cipher.number, mac.number, zip.number);
    decode.opened = opened;
    decode.ttl = Math.min(opened.ttl, context.maxTtl);
    requireReader(opened, peer, context);
    requireOrigin(policy, opened);
    const invalid = validityError(
      opened.encodeTime,
      decode.ttl,
      decodeTime,
      context.timestampDriftMax,
    );
    if (invalid !== null) decode.refusal = new MungeError(invalid);
  } catch (thrown) {
    decode.refusal = asMungeError(thrown, context);
  }
}

/**
 * Enters the credential into the replay cache, unless it is already there.
 *
 * @param isProvisional whether the decode may still be refused.
 */
function remember(decode: Decode, isProvisional: boolean, context: RequestContext): void {
  const { replayCache, log } = context;
  if (replayCache === null) return;
  const expiry = expiryOf(decode.opened!);
  try {
    const found = replayCache.remember({
      key: decode.opened!.replayKey,
      requester: decode.peer,
      isRetry: decode.isRetry,
      isProvisional,
      now: decode.decodeTime,
    }, expiry);
    if (found === "replayed") {
      decode.refusal = new MungeError("EMUNGE_CRED_REPLAYED");
    } else if (found === "retried") {
      const { uid, gid } = decode.peer;
      log.client(
        uid,
        "allowed replay",
        `Allowed credential replay for client UID=${uid} GID=${gid}`,
      );
    } else {
      decode.remembered = found;
    }
  } catch (thrown) {
    const reason = (thrown as Error).message;
    log.limited("replay cache", "error", `Failed to remember credential: ${reason}`);
    decode.refusal = noMemory(thrown);
  }
}

/** Asks the realm's store about a credential that is new on this host. */
function defer(decode: Decode, realmReplays: RealmReplays, context: RequestContext): Deferred {
  decode.credential = NOTHING; // its bytes are valid only during the call
  const { decodeTime, peer } = decode;
  const opened = decode.opened!;
  const question = realmReplays.ask(opened, expiryOf(opened), decodeTime);
  return {
    bytes: null,
    question,
    held: opened.payload,
    decide(verdict) {
      if (verdict === VERDICT.replayed) {
        decode.refusal = new MungeError("EMUNGE_CRED_REPLAYED");
        decode.remembered = null; // the entry stays, whether or not the client gets this answer
      } else if (verdict === VERDICT.fresh || realmReplays.policy === "host") {
        context.replayCache!.believe(decode.remembered!, peer, decodeTime);
      } else {
        decode.refusal = new UncertainError(verdict);
        takeBack(decode, context);
      }
      return finish(decode, context);
    },
    abandon() {
      realmReplays.drop(question);
      takeBack(decode, context);
    },
  };
}

/** The answer, or an error if there is no memory for a large payload, so that the client may retry. */
function finish(decode: Decode, context: RequestContext): Answer {
  try {
    return respond(decode, context);
  } catch (thrown) {
    decode.refusal = asMungeError(thrown, context);
    takeBack(decode, context);
    return respond(decode, context);
  }
}

/** Removes the entry of a credential whose contents will not reach the client after all. */
function takeBack(decode: Decode, { replayCache }: RequestContext): void {
  if (decode.remembered === null) return;
  replayCache!.forget(decode.remembered);
  decode.remembered = null;
}

/** The answer: the credential's contents, or only the error. */
function respond(decode: Decode, context: RequestContext): Answer {
  const { retry, opened, refusal } = decode;
  const hasContents = refusal === null || REFUSALS_WITH_CONTENTS.has(refusal.code);
  if (refusal instanceof PolicyRefusal) recordRefusal("decode", refusal, decode.peer, context);
  else if (refusal !== null) {
    if (hasContents) {
      const text = `${refusal.message} from ${addressText(opened!.originAddress)}`;
      context.log.client(decode.peer.uid, refusal.code, text);
    } else if (!(refusal instanceof UncertainError)) logRefusal(refusal, decode.peer, context);
    context.refused({ ...decode, error: refusal.code });
  }
  const response = hasContents
    ? contentsOf(opened!, decode)
    : { ...RESET_DECODE_RESPONSE, errno: refusal.errno, errorText: refusal.message };
  const bytes = formatDecodeResponse(response, retry, context.allocate);
  if (opened !== undefined) releaseLarge(opened.payload); // the answer has a copy
  return { bytes, remembered: decode.remembered };
}

/** The fields of a credential in an answer. */
function contentsOf(opened: OpenedCredential, decode: Decode): DecodeResponse {
  const { ttl, decodeTime, refusal } = decode;
  return {
    errno: refusal?.errno ?? 0,
    errorText: refusal?.message ?? "",
    cipher: opened.cipher,
    mac: opened.mac,
    zip: opened.zip,
    realm: opened.realm,
    ttl,
    originAddress: opened.originAddress,
    encodeTime: opened.encodeTime,
    decodeTime,
    uid: opened.uid,
    gid: opened.gid,
    uidRestriction: opened.uidRestriction,
    gidRestriction: opened.gidRestriction,
    payload: opened.payload,
  };
}
