// When a credential is valid, and how long munged remembers that it was decoded.
import type { OpenedCredential } from "../../../lib/credential/fields.ts";
import type { MungeErrorCode } from "../../../lib/errors.ts";

/** The longest TTL that any munged can allow; cli/munged/options.ts limits --max-ttl to it. */
const HIGHEST_MAX_TTL = 3600;

/**
 * Checks a credential against the clock. Unless a drift is set, its clock may be ahead by the credential's time-to-live, as
 * in the reference (docs/protocol.md, "Reading a credential").
 */
export function validityError(
  encodeTime: number,
  ttl: number,
  decodeTime: number,
  driftMax: number | null,
): MungeErrorCode | null {
  if (decodeTime < encodeTime - (driftMax ?? ttl)) return "EMUNGE_CRED_REWOUND";
  if (decodeTime > encodeTime + ttl + (driftMax ?? 0)) return "EMUNGE_CRED_EXPIRED";
  return null;
}

/**
 * Until when to remember a credential. This depends only on the credential and its own TTL, not on the granted one, so that
 * a munged restarted with a different --max-ttl finds it.
 */
export function expiryOf({ encodeTime, ttl }: OpenedCredential): number {
  return encodeTime + Math.min(ttl, HIGHEST_MAX_TTL);
}
