// Whether a realm's policy and the credential itself permit a request, and the refusal if they don't. Everything a client
// claims is checked before a key is used: the realm that a credential names decides, and a false name fails the MAC. So a
// refusal reveals nothing but the policy. Only what is encrypted (the origin, and who may decode the credential) is checked
// after opening.
import { CIPHERS } from "../../../lib/credential/cipher.ts";
import type { OpenedCredential } from "../../../lib/credential/fields.ts";
import { MACS } from "../../../lib/credential/mac.ts";
import { DEFAULT_REALM, describeRealm } from "../../../lib/credential/realm.ts";
import { ZIPS } from "../../../lib/credential/zip.ts";
import { MungeError, type MungeErrorCode } from "../../../lib/errors.ts";
import { ANY_ID } from "../../../lib/protocol/message.ts";
import type { AuditFields } from "../../process/log.ts";
import { isWithin } from "../policy/networks.ts";
import { type DirectionPolicy, isAllowed, isRefused, type RealmPolicy } from "../policy/policy.ts";
import type { Direction } from "../config.ts";
import type { PolicyRule } from "../observe/counters.ts";
import { addressText, type Peer, type RequestContext } from "./context.ts";

const KINDS = [
  { rule: "cipher", code: "EMUNGE_BAD_CIPHER", word: "cipher", types: CIPHERS },
  { rule: "mac", code: "EMUNGE_BAD_MAC", word: "MAC", types: MACS },
  { rule: "zip", code: "EMUNGE_BAD_ZIP", word: "compression", types: ZIPS },
] as const;

/** A request that the policy refuses. */
export class PolicyRefusal extends MungeError {
  readonly rule: PolicyRule;
  readonly realm: string;
  /** What the log says about it besides client and realm. */
  readonly fields: AuditFields;

  /** Makes a refusal, for the caller to throw. */
  constructor(
    rule: PolicyRule,
    realm: string,
    code: MungeErrorCode,
    text: string,
    fields: AuditFields = {},
  ) {
    super(code, text);
    this.rule = rule;
    this.realm = realm;
    this.fields = fields;
  }
}

/** Refuses a client that is not allowed to use the realm's key. */
export function requireClient(
  { clients }: DirectionPolicy,
  realm: string,
  { uid, gid }: Peer,
  { isMember }: RequestContext,
): void {
  if (clients === null || isAllowed(clients, uid, gid, isMember)) return;
  const text = `Unauthorized client UID=${uid} GID=${gid} for ${describeRealm(realm)}`;
  throw new PolicyRefusal("client", realm, "EMUNGE_CRED_UNAUTHORIZED", text);
}

/** Refuses types that the policy does not allow, in the reference's words for unsupported types. */
export function requireTypes(
  policy: DirectionPolicy,
  cipher: number,
  mac: number,
  zip: number,
  realm: string,
): void {
  const { refusedCiphers, refusedMacs, refusedZips } = policy;
  const refused = refusedCiphers >>> cipher | refusedMacs >>> mac | refusedZips >>> zip;
  if ((refused & 1) === 0) return;
  const numbers = [cipher, mac, zip];
  const masks = [refusedCiphers, refusedMacs, refusedZips];
  for (const [at, { rule, code, word, types }] of KINDS.entries()) {
    const type = types[numbers[at]!]; // any other number is invalid, whatever the policy
    if (type === undefined || !isRefused(masks[at]!, type.number)) continue;
    const text = `Invalid ${word} type ${type.number}`;
    throw new PolicyRefusal(rule, realm, code, text, { [rule]: type.name });
  }
}

/** Refuses an authentic credential that was made outside the accepted networks. */
export function requireOrigin({ origins }: RealmPolicy["decode"], opened: OpenedCredential): void {
  if (origins === null || isWithin(origins, opened.originAddress)) return;
  const origin = addressText(opened.originAddress);
  const { uid, gid } = opened;
  throw new PolicyRefusal(
    "origin",
    opened.realm,
    "EMUNGE_CRED_UNAUTHORIZED",
    `Unauthorized credential from origin ${origin}`,
    { origin, uid, gid },
  );
}

/** Refuses a client that the credential does not admit (docs/protocol.md, "Reading a credential"); root is not exempt. */
export function requireReader(
  { uidRestriction, gidRestriction }: OpenedCredential,
  { uid, gid }: Peer,
  { isMember }: RequestContext,
): void {
  const isReader = (uidRestriction === ANY_ID || uidRestriction === uid) &&
    (gidRestriction === ANY_ID || gidRestriction === gid || isMember(uid, gidRestriction));
  if (isReader) return;
  throw new MungeError(
    "EMUNGE_CRED_UNAUTHORIZED",
    `Unauthorized credential for client UID=${uid} GID=${gid}`,
  );
}

/** Counts and logs a refusal by the policy. */
export function recordRefusal(
  direction: Direction,
  { rule, realm, fields }: PolicyRefusal,
  { uid, gid }: Peer,
  { refusedByPolicy, log }: RequestContext,
): void {
  refusedByPolicy(direction, rule);
  // What a credential says about itself is only a claim until a key has verified it.
  const isClaim = direction === "decode" && rule !== "origin";
  log.audit(`Refused ${direction}`, uid, `policy_${rule}`, () => ({
    client_uid: uid,
    client_gid: gid,
    [isClaim ? "claimed_realm" : "realm"]: realm === DEFAULT_REALM ? "-" : realm,
    ...fields,
  }));
}
