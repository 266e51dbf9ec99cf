// What the daemon decides about the credentials it keeps, and what makes one due for renewal. The clock is an
// argument everywhere.
import type { AuksErrorName } from "./errors.ts";
import type { AddOutcome } from "./reply.ts";

/** The times of a credential, seconds since the epoch. */
export interface Lifetime {
  readonly starttime: number;
  readonly endtime: number;
  /** 0 if it can't be renewed. */
  readonly renewTill: number;
}

/**
 * What an ADD does to what is stored under its uid. As in the original, the one that can be renewed for longer
 * stays, and of equals the one that ends later; unlike in the original, an expired one never blocks another.
 *
 * @param stored what is there, if anything.
 * @param added what comes.
 * @param now seconds since the epoch.
 * @returns whether to store what comes.
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
 * Whether a credential is of no use any more.
 *
 * @param lifetime its times.
 * @param now seconds since the epoch.
 * @returns true from the second at which it ends.
 */
export function isExpired(lifetime: Lifetime, now: number): boolean {
  return lifetime.endtime <= now;
}

/**
 * Whether the cleaner removes a credential.
 *
 * @param lifetime its times.
 * @param now seconds since the epoch.
 * @returns true if it has ended, or could be renewed and can't be any more.
 */
export function isStale(lifetime: Lifetime, now: number): boolean {
  return lifetime.endtime < now || (lifetime.renewTill > 0 && lifetime.renewTill < now);
}

/**
 * Whether a credential is due for renewal.
 *
 * @param lifetime its times.
 * @param minLifeTime seconds before its end from which on it is due; one that lives no longer is never due.
 * @param now seconds since the epoch.
 * @returns undefined if it is due, otherwise the error that says why not.
 *
 * @example
 * ```ts
 * import { whyNotDue } from "./lib/auks/store_rules.ts";
 *
 * console.log(whyNotDue({ starttime: 0, endtime: 1000, renewTill: 0 }, 300, 600)); // "CRED_STILL_VALID"
 * ```
 */
export function whyNotDue(
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
