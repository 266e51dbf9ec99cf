// Tickets from a KDC: for a service, forwarded, renewed, for another realm, and an initial one from a keytab.
// Each call here may block for as long as libkrb5 waits for the KDC.
import type { Context } from "./context.ts";
import { Credential, TICKET_FLAGS, wipeCredential } from "./credential.ts";
import type { CredentialCache } from "./credential_cache.ts";
import type { Keytab } from "./keytab.ts";
import { CREDS } from "./layout.ts";
import { libkrb5 } from "./library.ts";
import { type Address, clearCells, resultAddress, resultCell, threadMemory } from "./memory.ts";
import { Principal } from "./principal.ts";

/** KDC options (RFC 4120, section 5.4.1), with libkrb5's values. */
const KDC_OPTIONS = {
  forwarded: 0x2000_0000,
  canonicalize: 0x0001_0000,
  renew: 0x0000_0002,
} as const;

/** Ticket flags that are also the options that request them. */
const INHERITED = TICKET_FLAGS.forwardable | TICKET_FLAGS.forwarded | TICKET_FLAGS.proxiable |
  0x0800_0000 | 0x0400_0000 | 0x0200_0000 | TICKET_FLAGS.renewable;

/** A krb5_creds for a request or a result. */
const creds = threadMemory(CREDS.bytes);
const credsView = new DataView(creds.bytes.buffer);

/** Calls with a krb5_creds that requests a ticket of `client` for `server`. */
function withRequest(client: Principal, server: Principal, call: (request: Address) => number) {
  creds.bytes.fill(0);
  credsView.setBigUint64(CREDS.client, BigInt(client.address), true);
  credsView.setBigUint64(CREDS.server, BigInt(server.address), true);
  clearCells();
  return call(creds.at);
}

/**
 * The ticket for a service: from the cache, or from the KDC, in which case it is added to the cache.
 *
 * @throws {KerberosError}
 */
export function serviceTicket(
  context: Context,
  cache: CredentialCache,
  server: Principal,
): Credential {
  using client = cache.principal();
  const code = withRequest(
    client,
    server,
    (creds) => libkrb5().krb5_get_credentials(context.address, 0, cache.address, creds, resultCell),
  );
  context.check("krb5_get_credentials", code);
  return new Credential(context, resultAddress());
}

/**
 * A ticket for `server` from the KDC, obtained with a TGT; it has the TGT's flags and no addresses.
 *
 * @param options {@linkcode KDC_OPTIONS}, added to those flags.
 * @throws {KerberosError}
 */
function ticketByTgt(
  context: Context,
  tgt: Credential,
  server: string,
  options: number,
): Credential {
  using client = tgt.copyClient();
  using service = Principal.parse(context, server);
  const code = withRequest(
    client,
    service,
    (request) =>
      libkrb5().krb5_get_cred_via_tkt(
        context.address,
        tgt.address,
        options | (tgt.flags & INHERITED),
        null,
        request,
        resultCell,
      ),
  );
  context.check("krb5_get_cred_via_tkt", code);
  return new Credential(context, resultAddress());
}

/** The same TGT, valid from any address. @throws {KerberosError} */
export function forwardedTicket(context: Context, tgt: Credential): Credential {
  return ticketByTgt(
    context,
    tgt,
    tgt.server,
    KDC_OPTIONS.canonicalize | KDC_OPTIONS.forwarded,
  );
}

/** The renewed TGT. @throws {KerberosError} */
export function renewedTicket(context: Context, tgt: Credential): Credential {
  return ticketByTgt(context, tgt, tgt.server, KDC_OPTIONS.canonicalize | KDC_OPTIONS.renew);
}

/** Properties of an initial ticket. Times are in seconds. */
export interface InitialTicketOptions {
  readonly lifetime?: number;
  readonly renewLifetime?: number;
  readonly forwardable?: boolean;
  readonly proxiable?: boolean;
  /** Whether the KDC may answer with another name for the principal. */
  readonly canonicalize?: boolean;
}

/**
 * The TGT of a principal whose key is in a keytab.
 *
 * @throws {KerberosError}
 */
export function initialTicket(
  context: Context,
  principal: Principal,
  keytab: Keytab,
  { lifetime, renewLifetime, forwardable, proxiable, canonicalize }: InitialTicketOptions = {},
): Credential {
  const krb5 = libkrb5();
  clearCells();
  context.check(
    "krb5_get_init_creds_opt_alloc",
    krb5.krb5_get_init_creds_opt_alloc(context.address, resultCell),
  );
  const options = resultAddress();
  try {
    if (lifetime !== undefined) krb5.krb5_get_init_creds_opt_set_tkt_life(options, lifetime);
    if (renewLifetime !== undefined) {
      krb5.krb5_get_init_creds_opt_set_renew_life(options, renewLifetime);
    }
    if (forwardable !== undefined) {
      krb5.krb5_get_init_creds_opt_set_forwardable(options, forwardable ? 1 : 0);
    }
    if (proxiable !== undefined) {
      krb5.krb5_get_init_creds_opt_set_proxiable(options, proxiable ? 1 : 0);
    }
    if (canonicalize !== undefined) {
      krb5.krb5_get_init_creds_opt_set_canonicalize(options, canonicalize ? 1 : 0);
    }
    creds.bytes.fill(0);
    const code = krb5.krb5_get_init_creds_keytab(
      context.address,
      creds.at,
      principal.address,
      keytab.address,
      0,
      null,
      options,
    );
    context.check("krb5_get_init_creds_keytab", code);
    try {
      return Credential.copy(context, creds.at);
    } finally {
      wipeCredential(creds.at);
      krb5.krb5_free_cred_contents(context.address, creds.at);
    }
  } finally {
    krb5.krb5_get_init_creds_opt_free(context.address, options);
  }
}
