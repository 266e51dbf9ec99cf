// The daemon's decisions about its credentials, and when one is due for renewal. The clock is always an argument.
import type { AuksErrorName } from "./errors.ts";
import type { AddOutcome } from "./reply.ts";

/** The times of a credential, in seconds since the epoch. */
export interface Lifetime {
  readonly starttime: number;
  readonly endtime: number;
  /** 0 if it can't be renewed. */
  readonly renewTill: number;
}

/**
 * The effect of an ADD on the stored credential of the same UID. As in the original, the credential that can be renewed
 * longer wins or, if both are equal, the one that expires later. Unlike in the original, an expired one never blocks
 * another.
 *
 * @param stored the stored credential, if any.
 * @param added the new credential.
 * @param now seconds since the epoch.
 * @returns whether to store the new one.
 *
 * @example
 * ```ts
 * import { addOutcome } from "./lib/auks/store_rules.ts";
 *
 * const week = { starttime: 0, endtime: 100, renewTill: 700 };
 * const day = { starttime: 0, endtime: 150, renewTill: 0 };
 * console.log(addOutcome(week, day, 50), addOutcome(week, day, 101)); // "kept" "stored"
 * ```
 */
export function addOutcome(stored: Lifetime | undefined, added: Lifetime, now: number): AddOutcome {
  if (stored === undefined) return "stored";
  if (isExpired(stored, now) !== isExpired(added, now)) {
    return isExpired(stored, now) ? "stored" : "kept";
  }
  if (added.renewTill !== stored.renewTill) {
    return added.renewTill > stored.renewTill ? "stored" : "kept";
  }
  return added.endtime >= stored.endtime ? "stored" : "kept";
}

/**
 * Whether a credential has expired.
 *
 * @param lifetime its times.
 * @param now seconds since the epoch.
 * @returns true from the second in which it expires.
 */
export function isExpired(lifetime: Lifetime, now: number): boolean {
  return lifetime.endtime <= now;
}

/**
 * Whether the cleaner removes a credential.
 *
 * @param lifetime its times.
 * @param now seconds since the epoch.
 * @returns true if it has expired, or was renewable but no longer is.
 */
export function isStale(lifetime: Lifetime, now: number): boolean {
  return lifetime.endtime < now || (lifetime.renewTill > 0 && lifetime.renewTill < now);
}

/**
 * Whether a credential is due for renewal.
 *
 * @param lifetime its times.
 * @param minLifeTime it is due when this many seconds or fewer are left; one whose whole lifetime is that short is never due.
 * @param now seconds since the epoch.
 * @returns undefined if it is due, otherwise the error with the reason.
 *
 * @example
 * ```ts
 * import { notDueReason } from "./lib/auks/store_rules.ts";
 *
 * console.log(notDueReason({ starttime: 0, endtime: 1000, renewTill: 0 }, 300, 600)); // "CRED_STILL_VALID"
 * ```
 */
export function notDueReason(
  lifetime: Lifetime,
  minLifeTime: number,
  now: number,
): AuksErrorName | undefined {
  const length = lifetime.endtime - lifetime.starttime;
  if (length === 0) return "CRED_NOT_RENEWABLE";
  if (length <= minLifeTime) return "CRED_TOO_SHORT";
  if (isExpired(lifetime, now)) return "CRED_EXPIRED";
  return lifetime.endtime - now > minLifeTime ? "CRED_STILL_VALID" : undefined;
}
