// Whether a realm's policy permits a request, and the refusal if it doesn't. Everything a client claims is checked before
// a key is used: the realm that a credential names decides, and a false name fails the MAC. So a refusal tells a client
// nothing but the policy. Only the origin, which is encrypted, has to wait until the credential is opened.
import { CIPHERS } from "../../../lib/credential/cipher.ts";
import type { OpenedCredential } from "../../../lib/credential/fields.ts";
import { MACS } from "../../../lib/credential/mac.ts";
import { describeRealm } from "../../../lib/credential/realm.ts";
import { ZIPS } from "../../../lib/credential/zip.ts";
import { MungeError, type MungeErrorCode } from "../../../lib/errors.ts";
import type { AuditFields } from "../../process/log.ts";
import { isWithin } from "../policy/networks.ts";
import { type DirectionPolicy, isAllowed, isRefused, type RealmPolicy } from "../policy/policy.ts";
import type { Direction } from "../config.ts";
import type { PolicyRule } from "../observe/counters.ts";
import { addressText, type Peer, type RequestContext } from "./context.ts";

/** A request that the policy refuses. */
export class PolicyRefusal extends MungeError {
  readonly rule: PolicyRule;
  /** What the log says about it besides the client. */
  readonly fields: AuditFields;

  /** Makes a refusal, for the caller to throw. */
  constructor(rule: PolicyRule, code: MungeErrorCode, text: string, fields: AuditFields) {
    super(code, text);
    this.rule = rule;
    this.fields = fields;
  }
}

/** Refuses a client that may not use the realm's key. */
export function requireClient(
  { clients }: DirectionPolicy,
  realm: string,
  { uid, gid }: Peer,
  { isMember }: RequestContext,
): void {
  if (clients === null || isAllowed(clients, uid, gid, isMember)) return;
  const text = `Unauthorized client UID=${uid} GID=${gid} for ${describeRealm(realm)}`;
  throw new PolicyRefusal("client", "EMUNGE_CRED_UNAUTHORIZED", text, realmField(realm));
}

/** Refuses types that the policy does not allow, in the reference's words for types that it does not support. */
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
  const fields = realmField(realm);
  if (isType(CIPHERS, cipher) && isRefused(refusedCiphers, cipher)) {
    const text = `Invalid cipher type ${cipher}`;
    const named = { ...fields, cipher: CIPHERS[cipher]!.name };
    throw new PolicyRefusal("cipher", "EMUNGE_BAD_CIPHER", text, named);
  }
  if (isType(MACS, mac) && isRefused(refusedMacs, mac)) {
    const text = `Invalid MAC type ${mac}`;
    throw new PolicyRefusal("mac", "EMUNGE_BAD_MAC", text, { ...fields, mac: MACS[mac]!.name });
  }
  if (isType(ZIPS, zip) && isRefused(refusedZips, zip)) {
    const text = `Invalid compression type ${zip}`;
    throw new PolicyRefusal("zip", "EMUNGE_BAD_ZIP", text, { ...fields, zip: ZIPS[zip]!.name });
  }
}

/** Whether the number is in the table; any other is a mistake and not a matter of policy. */
function isType(table: readonly unknown[], number: number): boolean {
  return number < table.length;
}

/** Refuses a credential, once it is authenticated, that was made outside the networks accepted. */
export function requireOrigin({ origins }: RealmPolicy["decode"], opened: OpenedCredential): void {
  if (origins === null || isWithin(origins, opened.originAddress)) return;
  const origin = addressText(opened.originAddress);
  const { uid, gid } = opened;
  throw new PolicyRefusal(
    "origin",
    "EMUNGE_CRED_UNAUTHORIZED",
    `Unauthorized credential from origin ${origin}`,
    { ...realmField(opened.realm), origin, uid, gid },
  );
}

function realmField(realm: string): AuditFields {
  return { realm: realm === "" ? "-" : realm };
}

/** Counts and logs a refusal. */
export function recordRefusal(
  direction: Direction,
  { rule, fields }: PolicyRefusal,
  { uid, gid }: Peer,
  { refusedByPolicy, log }: RequestContext,
): void {
  refusedByPolicy(direction, rule);
  log.audit(`Refused ${direction}`, uid, `policy_${rule}`, () => ({
    client_uid: uid,
    client_gid: gid,
    ...fields,
  }));
}
