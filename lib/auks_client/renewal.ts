// Checks the ticket of a cache once and renews it: with a fresher one from auksd if there is one, otherwise at the KDC. The
// caller decides when to check again.
import { AuksError } from "../auks/errors.ts";
import type { PackedCredential } from "../auks/packed_credential.ts";
import { type Lifetime, notDueReason } from "../auks/store_rules.ts";
import { type Context, KerberosError } from "../krb5/context.ts";
import type { Credential } from "../krb5/credential.ts";
import { renewedTicket } from "../krb5/tickets.ts";
import type { ClientSettings } from "./client.ts";
import { type CachedTickets, readTickets, replaceTickets } from "./credential_cache.ts";
import { uidOf } from "./local_user.ts";
import { readCredentials } from "./received_credential.ts";
import { get } from "./requests.ts";

/** What to renew, and by which rules. */
export interface RenewalTarget {
  /** Name of the cache; undefined for the default one. */
  readonly ccache: string | undefined;
  /** A ticket is due when it has no more than this many seconds left. */
  readonly minLifeTime: number;
  /** Whether to ask auksd for a fresher ticket even if the current one is not due. */
  readonly eager: boolean;
}

/** A completed renewal. */
export interface Renewal {
  /** The source of the new ticket. */
  readonly source: "auksd" | "KDC";
  /** Of the new ticket. */
  readonly lifetime: Lifetime;
}

/** A ticket that can't be renewed, with what is known about it. */
export class NotRenewed extends AuksError {
  readonly lifetime: Lifetime;

  constructor(error: AuksError, lifetime: Lifetime) {
    super(error.error, error.reason);
    this.lifetime = lifetime;
  }
}

/**
 * Checks the ticket and renews it if it is due.
 *
 * @throws {NotRenewed} if it is not due (CRED_STILL_VALID), can't be renewed (CRED_TOO_SHORT, CRED_EXPIRED ...), or neither
 * auksd nor the KDC provides a new one (KRB5_RENEW).
 * @throws {AuksError} if the cache can't be read or written.
 */
export async function renewCache(
  context: Context,
  settings: ClientSettings,
  target: RenewalTarget,
): Promise<Renewal> {
  const tickets = readTickets(context, target.ccache);
  try {
    const lifetime = lifetimeOf(tickets.tgt);
    const reason = notDueReason(lifetime, target.minLifeTime, Date.now() / 1000);
    if (reason === undefined || (target.eager && reason !== "CRED_EXPIRED")) {
      const fresher = await fresherOf(context, settings, tickets);
      if (fresher !== undefined) {
        return store(context, target.ccache, tickets, fresher, "auksd");
      }
    }
    if (reason !== undefined) throw new NotRenewed(new AuksError(reason), lifetime);
    const renewed = atKdc(context, tickets, lifetime);
    return store(context, target.ccache, tickets, [renewed], "KDC");
  } finally {
    tickets.free();
  }
}

/** The times of a ticket as AUKS counts them. */
function lifetimeOf(ticket: Credential): Lifetime {
  return {
    starttime: ticket.startTime || ticket.authTime,
    endtime: ticket.endTime,
    renewTill: ticket.renewTill,
  };
}

/** auksd's tickets for the same principal, if they expire later; the caller frees them. */
async function fresherOf(
  context: Context,
  settings: ClientSettings,
  { tgt, principal }: CachedTickets,
): Promise<Credential[] | undefined> {
  let kept: PackedCredential;
  try {
    kept = await get(context, settings, accountOf(context, principal));
  } catch (error) {
    if (error instanceof AuksError) return undefined; // then the KDC decides
    throw error;
  }
  // The original accepts anything, even an expired ticket instead of a valid one.
  if (kept.principal !== principal || kept.endtime <= tgt.endTime) return undefined;
  const credentials = readCredentials(context, kept.krbCred);
  const first = credentials[0];
  if (first?.client === principal && first.endTime > tgt.endTime) return credentials;
  for (const credential of credentials) credential.free();
  return undefined;
}

function accountOf(context: Context, principal: string): number {
  try {
    return uidOf(context, principal);
  } catch (error) {
    if (error instanceof AuksError) return process.geteuid!();
    throw error;
  }
}

function atKdc(context: Context, { tgt }: CachedTickets, lifetime: Lifetime): Credential {
  const fail = (reason: string) => new NotRenewed(new AuksError("KRB5_RENEW", reason), lifetime);
  let renewed: Credential;
  try {
    renewed = renewedTicket(context, tgt);
  } catch (error) {
    if (error instanceof KerberosError) throw fail(error.message);
    throw error;
  }
  if (renewed.endTime > tgt.endTime) return renewed;
  renewed.free();
  throw fail("it has reached the end of its renewable life");
}

/** Puts new tickets into the cache, and keeps service tickets that are still valid. */
function store(
  context: Context,
  ccache: string | undefined,
  { crossRealm, services }: CachedTickets,
  fresh: readonly Credential[],
  source: "auksd" | "KDC",
): Renewal {
  try {
    const now = Date.now() / 1000;
    const others = crossRealm === undefined || fresh.length > 1
      ? services
      : [crossRealm, ...services];
    const kept = others.filter(({ endTime }) => endTime > now);
    replaceTickets(context, ccache, [...fresh, ...kept]);
    return { source, lifetime: lifetimeOf(fresh[0]!) };
  } finally {
    for (const credential of fresh) credential.free();
  }
}
