// When which credential is renewed, without clock, network or KDC: due ones are spread over time, and a realm
// whose KDC does not answer is left alone for longer and longer.
import { type Lifetime, whyNotDue } from "../../lib/auks/store_rules.ts";

/** A credential as the schedule sees it. */
export interface Renewable extends Lifetime {
  readonly uid: number;
  readonly principal: string;
}

/** How credentials are spread. */
export interface SpreadRules {
  /** Seconds before its end at which a credential is renewed at the latest. */
  readonly minLifeTime: number;
  /** Gives numbers from 0 to 1. */
  random(): number;
}

/** The part of its life by which a credential may be renewed before it has to be. */
const EARLY = 1 / 8;

/**
 * Decides for each credential how long before it is due it is renewed. Tickets that were all got in the same
 * minute, at the start of a working day or by a batch of jobs, so become due one by one.
 */
export class Spread {
  readonly #rules: SpreadRules;
  /** By uid: the end of the ticket that a draw was made for, and the draw. */
  #draws = new Map<number, { readonly endtime: number; readonly draw: number }>();

  constructor(rules: SpreadRules) {
    this.#rules = rules;
  }

  /**
   * The credentials to renew now, the most urgent first; those that are about equally urgent in an order of
   * this renewer's own, so that two renewers don't go through them side by side.
   *
   * @param credentials all there are; what is not among them is forgotten.
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
      const reason = whyNotDue(credential, minLifeTime, now);
      if (reason !== "CRED_STILL_VALID") return reason === undefined;
      const early = Math.min((endtime - starttime) * EARLY, endtime - starttime - minLifeTime);
      return endtime - now <= minLifeTime + draw.draw * early;
    });
    this.#draws = draws;
    const rank = ({ uid, endtime }: C) => endtime + draws.get(uid)!.draw * minLifeTime / 2;
    return due.sort((a, b) => rank(a) - rank(b));
  }
}

/** Whether a renewal would give nothing: the ticket lasts as long as it may already. */
export function isAtItsEnd({ endtime, renewTill }: Lifetime): boolean {
  return endtime >= renewTill;
}

const FIRST_PAUSE_S = 5;
const LONGEST_PAUSE_S = 300;

/** What is known of the KDCs of one realm. */
interface RealmState {
  failures: number;
  /** Seconds since the epoch from which on they are asked again. */
  until: number;
  /** Whether one request is under way to see if they are back. */
  probing: boolean;
}

/** Realms whose KDCs did not answer. */
export class RealmBackOff {
  readonly #realms = new Map<string, RealmState>();

  /** Whether a realm may be asked now; the first to be told so after a pause finds out for all others. */
  mayAsk(realm: string, now: number): boolean {
    const state = this.#realms.get(realm);
    if (state === undefined) return true;
    if (now < state.until || state.probing) return false;
    state.probing = true;
    return true;
  }

  /** A KDC of the realm answered, be it with a refusal. */
  answered(realm: string): void {
    this.#realms.delete(realm);
  }

  /** The KDC was not asked after all, so that another has to find out. */
  unasked(realm: string): void {
    const state = this.#realms.get(realm);
    if (state !== undefined) state.probing = false;
  }

  /** No KDC of the realm answered. @returns seconds of the pause. */
  silent(realm: string, now: number): number {
    const known = this.#realms.get(realm);
    // Requests that were under way at once fail at once, and count as one.
    if (known !== undefined && now < known.until) return known.until - now;
    const failures = (known?.failures ?? 0) + 1;
    const pause = Math.min(FIRST_PAUSE_S * 2 ** (failures - 1), LONGEST_PAUSE_S);
    this.#realms.set(realm, { failures, until: now + pause, probing: false });
    return pause;
  }

  /** The realms that are left alone, with the number of times in a row that nobody answered. */
  get silentRealms(): ReadonlyMap<string, number> {
    return new Map([...this.#realms].map(([realm, { failures }]) => [realm, failures]));
  }
}

/** The realm of a principal. */
export function realmOf(principal: string): string {
  return principal.slice(principal.lastIndexOf("@") + 1);
}
