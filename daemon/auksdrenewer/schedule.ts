// Decides when to renew each credential, without clock, network or KDC: spreads renewals over time, and backs off from
// realms whose KDCs do not answer.
import { type Lifetime, notDueReason } from "../../lib/auks/store_rules.ts";

/** What the schedule knows about a credential. */
export interface Renewable extends Lifetime {
  readonly uid: number;
  readonly principal: string;
}

/** How to spread renewals. */
export interface SpreadRules {
  /** A credential is renewed at the latest this many seconds before it expires. */
  readonly minLifeTime: number;
  /** Returns random numbers from 0 to 1. */
  random(): number;
}

/** The share of its lifetime by which a credential may be renewed early. */
const EARLY = 1 / 8;

/**
 * Decides how early to renew each credential, so that tickets obtained in the same minute, at the start of a working day
 * or by a batch of jobs, become due one by one.
 */
export class Spread {
  readonly #rules: SpreadRules;
  /** By UID: the end of the ticket for which a random number was drawn, and that number. */
  #draws = new Map<number, { readonly endtime: number; readonly draw: number }>();

  constructor(rules: SpreadRules) {
    this.#rules = rules;
  }

  /**
   * The credentials to renew now, the most urgent first. Equally urgent ones are in this renewer's own random order, so that
   * two renewers don't process them in parallel.
   *
   * @param credentials all credentials; others are forgotten.
   * @param now seconds since the epoch.
   */
  due<C extends Renewable>(credentials: readonly C[], now: number): C[] {
    const { minLifeTime } = this.#rules;
    const draws = new Map<number, { readonly endtime: number; readonly draw: number }>();
    const due = credentials.filter((credential) => {
      const { uid, starttime, endtime } = credential;
      const known = this.#draws.get(uid);
      const draw = known?.endtime === endtime ? known : { endtime, draw: this.#rules.random() };
      draws.set(uid, draw);
      const reason = notDueReason(credential, minLifeTime, now);
      if (reason !== "CRED_STILL_VALID") return reason === undefined;
      const early = Math.min((endtime - starttime) * EARLY, endtime - starttime - minLifeTime);
      return endtime - now <= minLifeTime + draw.draw * early;
    });
    this.#draws = draws;
    const rank = ({ uid, endtime }: C) => endtime + draws.get(uid)!.draw * minLifeTime / 2;
    return due.sort((a, b) => rank(a) - rank(b));
  }
}

/** Whether a renewal would be useless, because the ticket already lasts as long as it can. */
export function isAtMaxLifetime({ endtime, renewTill }: Lifetime): boolean {
  return endtime >= renewTill;
}

const FIRST_PAUSE_S = 5;
const MAX_PAUSE_S = 300;

/** What is known about the KDCs of one realm. */
interface RealmState {
  failures: number;
  /** When to ask them again, seconds since the epoch. */
  until: number;
  /** Whether a request is in progress to find out if they are back. */
  probing: boolean;
}

/** Realms whose KDCs did not answer. */
export class RealmBackOff {
  readonly #realms = new Map<string, RealmState>();

  /** Whether a realm may be asked now; after a pause, the first caller finds out for all others. */
  mayAsk(realm: string, now: number): boolean {
    const state = this.#realms.get(realm);
    if (state === undefined) return true;
    if (now < state.until || state.probing) return false;
    state.probing = true;
    return true;
  }

  /** Records that a KDC of the realm answered, even if with a refusal. */
  answered(realm: string): void {
    this.#realms.delete(realm);
  }

  /** Records that the KDC was not asked after all, so that another caller must find out. */
  cancelProbe(realm: string): void {
    const state = this.#realms.get(realm);
    if (state !== undefined) state.probing = false;
  }

  /** Records that no KDC of the realm answered. @returns the pause in seconds. */
  silent(realm: string, now: number): number {
    const known = this.#realms.get(realm);
    // Concurrent requests fail together, and count as one.
    if (known !== undefined && now < known.until) return known.until - now;
    const failures = (known?.failures ?? 0) + 1;
    const pause = Math.min(FIRST_PAUSE_S * 2 ** (failures - 1), MAX_PAUSE_S);
    this.#realms.set(realm, { failures, until: now + pause, probing: false });
    return pause;
  }

  /** The realms left alone for now, with the number of consecutive failures. */
  get silentRealms(): ReadonlyMap<string, number> {
    return new Map([...this.#realms].map(([realm, { failures }]) => [realm, failures]));
  }
}

/** The realm of a principal. */
export function realmOf(principal: string): string {
  return principal.slice(principal.lastIndexOf("@") + 1);
}
