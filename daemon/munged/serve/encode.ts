// From an encode request to its answer: the client's identity, sealed into a credential. lib/credential seals it.
import { releaseLarge } from "../../../lib/bytes/memory.ts";
import { armoredLength } from "../../../lib/credential/armor.ts";
import { CIPHER_DEFAULT } from "../../../lib/credential/cipher.ts";
import { type Randomness, SALT_LENGTH } from "../../../lib/credential/fields.ts";
import { sealBytes } from "../../../lib/credential/seal.ts";
import { MAC_DEFAULT } from "../../../lib/credential/mac.ts";
import { DEFAULT_ZIP, ZIP_DEFAULT } from "../../../lib/credential/zip.ts";
import {
  type EncodeRequest,
  formatEncodeResponse,
  formatEncodeSuccess,
  parseEncodeRequest,
  TTL_DEFAULT,
} from "../../../lib/protocol/message.ts";
import { writeArmor } from "./armor_writer.ts";
import type { Answer, Peer, RequestContext } from "./context.ts";
import { PolicyRefusal, recordRefusal, requireClient, requireTypes } from "./permission.ts";
import { asMungeError, checkRetry, logRefusal, parsed, requireIdentity } from "./refusals.ts";

const NO_BYTES = new Uint8Array(0);

const random: Randomness & { readonly all: Uint8Array } = (() => {
  const all = new Uint8Array(SALT_LENGTH + 16);
  return { all, salt: all.subarray(0, SALT_LENGTH), iv: all.subarray(SALT_LENGTH) };
})();

/** The answer to an encode request; null for a malformed one, whose client is disconnected. */
export function answerEncode(
  retry: number,
  body: Uint8Array,
  peer: Peer,
  context: RequestContext,
): Answer | null {
  const request = parsed(parseEncodeRequest, body, peer, context);
  if (request === null) return null;
  try {
    checkRetry("Encode", retry, peer, context);
    requireIdentity("encode", peer, context);
    const credential = seal(request, peer, context);
    const bytes = formatEncodeSuccess(
      armoredLength(credential.length),
      (target, at) => writeArmor(credential, target, at),
      retry,
      context.allocate,
    );
    releaseLarge(credential);
    return { bytes, remembered: null };
  } catch (thrown) {
    const error = asMungeError(thrown, context);
    if (error instanceof PolicyRefusal) recordRefusal("encode", error, peer, context);
    else logRefusal(error, peer, context);
    const response = { errno: error.errno, errorText: error.message, credential: NO_BYTES };
    return { bytes: formatEncodeResponse(response, retry, context.allocate), remembered: null };
  }
}

/** The credential that a client asks for, if the realm's policy allows it. */
function seal(request: EncodeRequest, peer: Peer, context: RequestContext): Uint8Array {
  const { realm, uidRestriction, gidRestriction, payload } = request;
  const { ring, policy: { encode: policy } } = context.realmOf(realm);
  requireClient(policy, realm, peer, context);
  const cipher = request.cipher === CIPHER_DEFAULT ? policy.defaultCipher : request.cipher;
  const mac = request.mac === MAC_DEFAULT ? policy.defaultMac : request.mac;
  const zip = request.zip === ZIP_DEFAULT ? DEFAULT_ZIP.number : request.zip;
  requireTypes(policy, cipher, mac, zip, realm);
  const ttl = request.ttl === TTL_DEFAULT ? context.defaultTtl : request.ttl;
  context.fillRandom(random.all);
  const credential = sealBytes(
    {
      cipher,
      mac,
      zip,
      realm,
      originAddress: context.originAddress,
      encodeTime: context.now(),
      ttl: Math.min(ttl, context.maxTtl),
      uid: peer.uid,
      gid: peer.gid,
      uidRestriction,
      gidRestriction,
      payload,
    },
    ring[0]!,
    random,
    context.primitives,
    context.maxPayload,
  );
  context.used("encode", cipher, mac, zip);
  return credential;
}
