// One request to one response: what munged decides, without a socket in sight. The credential format is
// in lib/credential/credential.ts, the messages in lib/protocol/message.ts, the sockets in worker.ts.
import { armoredLength, writeArmor } from "../../../lib/credential/armor.ts";
import { CIPHER_DEFAULT, DEFAULT_CIPHER } from "../../../lib/credential/cipher.ts";
import {
  openCredential,
  type OpenedCredential,
  type Randomness,
  SALT_LENGTH,
  sealBytes,
} from "../../../lib/credential/credential.ts";
import type { Crypto } from "../../../lib/crypto/choice.ts";
import { MungeError, type MungeErrorCode } from "../../../lib/errors.ts";
import type { Subkeys } from "../../../lib/credential/subkeys.ts";
import { DEFAULT_MAC, MAC_DEFAULT } from "../../../lib/credential/mac.ts";
import {
  type Allocate,
  ANY_ID,
  type DecodeResponse,
  formatDecodeResponse,
  formatEncodeResponse,
  formatEncodeSuccess,
  formatStatusResponse,
  MAX_RETRY,
  MESSAGE_TYPE,
  parseDecodeRequest,
  parseEncodeRequest,
  RESET_DECODE_RESPONSE,
  TTL_DEFAULT,
} from "../../../lib/protocol/message.ts";
import type { ReplayCache } from "../replay/cache.ts";
import { DEFAULT_ZIP, ZIP_DEFAULT } from "../../../lib/credential/zip.ts";
import type { Logger } from "../../process/log.ts";
import { DEFAULT_REALM } from "../keys/realms.ts";

/** The most that any munged allows, whatever its --max-ttl (cli/munged/options.ts bounds it). */
const MAX_TTL_OF_ALL = 3600;
const NO_BYTES = new Uint8Array(0);

/** Who sent a request, as the kernel tells. */
export interface Peer {
  readonly uid: number;
  readonly gid: number;
}

/** What deciding on a request needs from the world. */
export interface RequestContext {
  readonly crypto: Crypto;
  /** Keys of a realm, the one that encodes first. Throws EMUNGE_BAD_REALM for a realm it has not. */
  ringOf(realm: string): readonly Subkeys[];
  /** Whether a client may encode and decode in a realm that has a name. */
  mayUse(realm: string, peer: Peer): boolean;
  /** The longest validity that is granted, in seconds. */
  readonly maxTtl: number;
  /** The validity of a credential whose maker asked for none in particular, in seconds. */
  readonly defaultTtl: number;
  /** Seconds by which clocks may differ; null for the reference's rule. */
  readonly timestampDriftMax: number | null;
  /** IPv4 address that credentials made here carry. */
  readonly originAddress: Uint8Array;
  /** Seconds since the epoch. */
  now(): number;
  /** Fills with random bytes. */
  fillRandom(bytes: Uint8Array): void;
  /** Whether the group is a supplementary one of the user. */
  isMember(uid: number, gid: number): boolean;
  /** Null when replays are not looked for. */
  readonly replayCache: ReplayCache | null;
  /** Makes the bytes of a response, which are used until the next request. */
  readonly allocate: Allocate;
  readonly log: Logger;
  /** How munged is, as JSON; null for a client who is not told. */
  status(peer: Peer): string | null;
  /** Takes note of a decode that was refused, but for what is no credential at all. */
  refused(refusal: Refusal): void;
}

/** A decode that was refused. */
export interface Refusal {
  readonly error: MungeErrorCode;
  readonly peer: Peer;
  /** The credential as it came. */
  readonly credential: Uint8Array;
  /** What it says, if it is one; undefined for one that no key of ours made. */
  readonly opened: OpenedCredential | undefined;
  readonly decodeTime: number;
}

/** A response, and the replay entry that must be taken back if it can't be delivered. */
export interface Answer {
  readonly bytes: Uint8Array;
  readonly remembered: { readonly key: Uint8Array; readonly expiry: number } | null;
}

/**
 * The answer to a whole request.
 *
 * @param body valid during the call only.
 * @returns null for a message that is not answered, but cut off.
 */
export function answerRequest(
  type: number,
  retry: number,
  body: Uint8Array,
  peer: Peer,
  context: RequestContext,
): Answer | null {
  switch (type) {
    case MESSAGE_TYPE.encodeRequest:
      return answerEncode(retry, body, peer, context);
    case MESSAGE_TYPE.decodeRequest:
      return answerDecode(retry, body, peer, context);
    case MESSAGE_TYPE.statusRequest: {
      const status = context.status(peer);
      if (status === null) break;
      return { bytes: formatStatusResponse(status, retry), remembered: null };
    }
  }
  context.log.info(`Invalid message type ${type}`);
  return null;
}

const random: Randomness & { readonly all: Uint8Array } = (() => {
  const all = new Uint8Array(SALT_LENGTH + 16);
  return { all, salt: all.subarray(0, SALT_LENGTH), iv: all.subarray(SALT_LENGTH) };
})();

function answerEncode(
  retry: number,
  body: Uint8Array,
  peer: Peer,
  context: RequestContext,
): Answer | null {
  const request = parsed(parseEncodeRequest, body, context);
  if (request === null) return null;
  try {
    checkRetry("Encode", retry, peer, context);
    if (request.realm !== DEFAULT_REALM) requireUse(request.realm, peer, context);
    context.fillRandom(random.all);
    const credential = sealBytes(
      {
        cipher: request.cipher === CIPHER_DEFAULT ? DEFAULT_CIPHER.number : request.cipher,
        mac: request.mac === MAC_DEFAULT ? DEFAULT_MAC.number : request.mac,
        zip: request.zip === ZIP_DEFAULT ? DEFAULT_ZIP.number : request.zip,
        realm: request.realm,
        originAddress: context.originAddress,
        encodeTime: context.now(),
        ttl: Math.min(
          request.ttl === TTL_DEFAULT ? context.defaultTtl : request.ttl,
          context.maxTtl,
        ),
        uid: peer.uid,
        gid: peer.gid,
        authUid: request.authUid,
        authGid: request.authGid,
        payload: request.payload,
      },
      context.ringOf(request.realm)[0]!,
      random,
      context.crypto,
    );
    const bytes = formatEncodeSuccess(
      armoredLength(credential.length),
      (target, at) => writeArmor(credential, target, at),
      retry,
      context.allocate,
    );
    return { bytes, remembered: null };
  } catch (thrown) {
    const error = asMungeError(thrown, context);
    logRefusal(error, context);
    const response = { errno: error.errno, errorText: error.message, credential: NO_BYTES };
    return { bytes: formatEncodeResponse(response, retry, context.allocate), remembered: null };
  }
}

function answerDecode(
  retry: number,
  body: Uint8Array,
  peer: Peer,
  context: RequestContext,
): Answer | null {
  const request = parsed(parseDecodeRequest, body, context);
  if (request === null) return null;
  const decodeTime = context.now();
  const { credential } = request;
  let opened: OpenedCredential | undefined;
  try {
    checkRetry("Decode", retry, peer, context);
    if (body.length === 4) {
      throw new MungeError("EMUNGE_SNAFU", "No credential specified in decode request");
    }
    opened = openCredential(asciiText(credential), context.ringOf, context.crypto);
    if (opened.realm !== DEFAULT_REALM) requireUse(opened.realm, peer, context);
    authorize(opened, peer, context);
  } catch (thrown) {
    const error = asMungeError(thrown, context);
    return refuseDecode(error, retry, { peer, credential, opened, decodeTime }, context);
  }

  const ttl = Math.min(opened.ttl, context.maxTtl);
  let state = stateInTime(opened.encodeTime, ttl, decodeTime, context.timestampDriftMax);
  let remembered: Answer["remembered"] = null;
  if (state === null && context.replayCache !== null) {
    // An entry's place follows from the credential alone, so that a munged restarted with another
    // --max-ttl finds it.
    const expiry = opened.encodeTime + Math.min(opened.ttl, MAX_TTL_OF_ALL);
    try {
      if (context.replayCache.insert(opened.replayKey, expiry)) {
        remembered = { key: opened.replayKey, expiry };
      } else if (retry === 0) {
        state = "EMUNGE_CRED_REPLAYED";
      } else {
        context.replayCache.keep(opened.replayKey, expiry);
        const { uid, gid } = peer;
        context.log.info(`Allowed credential replay for client UID=${uid} GID=${gid}`);
      }
    } catch (thrown) {
      const reason = (thrown as Error).message;
      context.log.limited("replay cache", "error", `Failed to remember credential: ${reason}`);
      const error = new MungeError("EMUNGE_NO_MEMORY");
      return refuseDecode(error, retry, { peer, credential, opened, decodeTime }, context);
    }
  }

  let errno = 0;
  let errorText = "";
  if (state !== null) {
    const error = new MungeError(state);
    errno = error.errno;
    errorText = error.message;
    context.log.info(`${errorText} from ${addressText(opened.originAddress)}`);
    context.refused({ error: state, peer, credential, opened, decodeTime });
  }
  const response: DecodeResponse = {
    errno,
    errorText,
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
    authUid: opened.authUid,
    authGid: opened.authGid,
    payload: opened.payload,
  };
  return { bytes: formatDecodeResponse(response, retry, context.allocate), remembered };
}

/** An answer that tells nothing of the credential but what is wrong with it. */
function refuseDecode(
  error: MungeError,
  retry: number,
  refusal: Omit<Refusal, "error">,
  context: RequestContext,
): Answer {
  logRefusal(error, context);
  context.refused({ ...refusal, error: error.code });
  const { errno, message: errorText } = error;
  const response = { ...RESET_DECODE_RESPONSE, errno, errorText };
  const bytes = formatDecodeResponse(response, retry, context.allocate);
  return { bytes, remembered: null };
}

/** Without memory or space every request fails, and the log must not be what fills the disk. */
function logRefusal({ code, message }: MungeError, { log }: RequestContext): void {
  if (code === "EMUNGE_NO_MEMORY") log.limited("no memory", "info", message);
  else log.info(message);
}

/** The request, or null for one that is no message of its type. */
function parsed<T>(parse: (body: Uint8Array) => T, body: Uint8Array, context: RequestContext) {
  try {
    return parse(body);
  } catch (thrown) {
    context.log.info(asMungeError(thrown, context).message);
    return null;
  }
}

function checkRetry(verb: "Encode" | "Decode", retry: number, peer: Peer, context: RequestContext) {
  if (retry === 0) return;
  context.log.info(`${verb} retry #${retry} for client UID=${peer.uid} GID=${peer.gid}`);
  if (retry > MAX_RETRY) {
    const text = `Exceeded maximum number of ${verb.toLowerCase()} attempts`;
    throw new MungeError("EMUNGE_SOCKET", text);
  }
}

/** Refuses a client that may not use the realm. */
function requireUse(realm: string, peer: Peer, context: RequestContext): void {
  if (context.mayUse(realm, peer)) return;
  throw new MungeError(
    "EMUNGE_CRED_UNAUTHORIZED",
    `Unauthorized client UID=${peer.uid} GID=${peer.gid} for realm "${realm}"`,
  );
}

/** Whether the client may see the credential (docs/protocol.md, "Reading one"); root has no exemption. */
function authorize(credential: OpenedCredential, peer: Peer, context: RequestContext): void {
  const { authUid, authGid } = credential;
  const authorized = (authUid === ANY_ID || authUid === peer.uid) &&
    (authGid === ANY_ID || authGid === peer.gid || context.isMember(peer.uid, authGid));
  if (!authorized) {
    throw new MungeError(
      "EMUNGE_CRED_UNAUTHORIZED",
      `Unauthorized credential for client UID=${peer.uid} GID=${peer.gid}`,
    );
  }
}

/**
 * What the clock says of a credential. Unless told how far clocks may differ, the reference gives one that
 * is ahead as long as the credential lives (docs/protocol.md, "Reading one").
 */
function stateInTime(
  encodeTime: number,
  ttl: number,
  decodeTime: number,
  driftMax: number | null,
): MungeErrorCode | null {
  if (decodeTime < encodeTime - (driftMax ?? ttl)) return "EMUNGE_CRED_REWOUND";
  if (decodeTime > encodeTime + ttl + (driftMax ?? 0)) return "EMUNGE_CRED_EXPIRED";
  return null;
}

/** What was thrown, as the client will hear it. Anything unforeseen is refused, and logged. */
function asMungeError(thrown: unknown, context: RequestContext): MungeError {
  if (thrown instanceof MungeError) return thrown;
  if (thrown instanceof RangeError) return new MungeError("EMUNGE_NO_MEMORY");
  context.log.limited("internal", "error", `Internal error: ${(thrown as Error).stack}`);
  return new MungeError("EMUNGE_SNAFU");
}

/** An IPv4 address in messages; a credential without one says 0.0.0.0. */
export function addressText(address: Uint8Array): string {
  return address.length === 0 ? "0.0.0.0" : address.join(".");
}

const latin1 = new TextDecoder("latin1");

function asciiText(bytes: Uint8Array): string {
  return latin1.decode(bytes);
}
