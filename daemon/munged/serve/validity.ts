// For how long a credential decodes, and for how long munged remembers that it has been decoded.
import type { OpenedCredential } from "../../../lib/credential/fields.ts";
import type { MungeErrorCode } from "../../../lib/errors.ts";

/** The maximum any munged can allow; cli/munged/options.ts limits --max-ttl to it. */
const MAX_TTL_OF_ALL = 3600;

/**
 * Checks a credential against the clock. Unless a drift is set, a clock may be ahead by as much as the credential's
 * time-to-live, as in the reference (docs/protocol.md, "Reading a credential").
 */
export function stateInTime(
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
 * Until when to remember a credential. It depends on the credential alone, with its own TTL, whatever was granted, so
 * that a munged restarted with a different --max-ttl finds it.
 */
export function expiryOf({ encodeTime, ttl }: OpenedCredential): number {
  return encodeTime + Math.min(ttl, MAX_TTL_OF_ALL);
}
