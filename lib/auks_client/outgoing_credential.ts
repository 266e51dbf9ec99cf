// The KRB-CRED sent to auksd: the user's TGT, valid from any address, and a TGT for another realm if there is one.
import { AuksError } from "../auks/errors.ts";
import { type Context, KerberosError } from "../krb5/context.ts";
import { type Credential, makeKrbCred } from "../krb5/credential.ts";
import { Principal } from "../krb5/principal.ts";
import { forwardedTicket, serviceTicket } from "../krb5/tickets.ts";
import { openCache, readTickets } from "./credential_cache.ts";
import { uidOf } from "./local_user.ts";

/** What is sent, and for which user. */
export interface OutgoingCredential {
  readonly principal: string;
  /** The user to which this host maps the principal. */
  readonly uid: number;
  readonly endTime: number;
  /** A secret; the sender wipes it. */
  readonly krbCred: Uint8Array;
}

/** The source of the credential. */
export interface CredentialSource {
  /** Name of the cache; undefined for the default one. */
  readonly ccache: string | undefined;
  /** Realm for which to add a TGT; "" for none. */
  readonly crossRealm: string;
  /** Called with problems that do not keep the local TGT from being sent. */
  warn(text: string): void;
}

/**
 * Reads the TGT of a cache and packs it.
 *
 * @throws {AuksError} for a cache without a usable TGT, or a principal without an account.
 */
export function prepareCredential(
  context: Context,
  { ccache, crossRealm, warn }: CredentialSource,
): OutgoingCredential {
  const tickets = readTickets(context, ccache);
  const made: Credential[] = [];
  try {
    const { principal, tgt, cacheName } = tickets;
    if (tgt.endTime <= Date.now() / 1000) {
      const end = new Date(tgt.endTime * 1000).toISOString();
      throw new AuksError("KRB5_EXPIRED", `the ticket in ${cacheName} ended at ${end}`);
    }
    const uid = uidOf(context, principal);
    if (tgt.addresses.length > 0) made.push(forwarded(context, tgt));
    const local = made[0] ?? tgt;
    let other = tickets.crossRealm;
    if (other === undefined && crossRealm !== "") {
      other = crossRealmTicket(context, ccache, tgt, crossRealm, warn);
      if (other !== undefined) made.push(other);
    }
    return { principal, uid, endTime: local.endTime, krbCred: pack(context, local, other) };
  } finally {
    for (const credential of made) credential.free();
    tickets.free();
  }
}

function forwarded(context: Context, tgt: Credential): Credential {
  try {
    return forwardedTicket(context, tgt);
  } catch (error) {
    if (!(error instanceof KerberosError)) throw error;
    const reason =
      `the ticket is bound to addresses, and the KDC issues none without them: ${error.message}`;
    throw new AuksError("KRB5_FORWARDED_CREDENTIAL", reason);
  }
}

/** A TGT for another realm, requested like any program that uses a service there. */
function crossRealmTicket(
  context: Context,
  ccache: string | undefined,
  tgt: Credential,
  crossRealm: string,
  warn: (text: string) => void,
): Credential | undefined {
  const server = tgt.server.replace(/^krbtgt\/[^@]*/, `krbtgt/${crossRealm}`);
  try {
    using cache = openCache(context, ccache);
    using principal = Principal.parse(context, server);
    return serviceTicket(context, cache, principal);
  } catch (error) {
    if (!(error instanceof KerberosError)) throw error;
    warn(`no ticket for ${server}: ${error.message}`);
    return undefined;
  }
}

function pack(context: Context, local: Credential, other: Credential | undefined): Uint8Array {
  try {
    return makeKrbCred(context, other === undefined ? [local] : [local, other]);
  } catch (error) {
    if (!(error instanceof KerberosError)) throw error;
    throw new AuksError("KRB5_DUMP", error.message);
  }
}
