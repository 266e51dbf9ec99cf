// A ticket with what its owner has to know to use it, as KRB-CREDs and caches both hold it.
import type { Principal } from "./principal.ts";

/** An address that a ticket is bound to. */
export interface HostAddress {
  /** 2 for IPv4, 24 for IPv6. */
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** A ticket and what its owner has to know to use it. */
export interface Credential {
  readonly client: Principal;
  readonly server: Principal;
  /** The session key: a secret. */
  readonly key: { readonly enctype: number; readonly bytes: Uint8Array };
  /** Ticket flags, the first one in the highest bit. */
  readonly flags: number;
  /** Seconds since the epoch. */
  readonly authtime: number;
  /** Seconds since the epoch; 0 for none. */
  readonly starttime: number;
  /** Seconds since the epoch. */
  readonly endtime: number;
  /** Seconds since the epoch; 0 if it can't be renewed. */
  readonly renewTill: number;
  /** Empty for a ticket that is good everywhere. */
  readonly addresses: readonly HostAddress[];
  /** DER of the ticket. */
  readonly ticket: Uint8Array;
}

/**
 * Overwrites the session keys of credentials with zeros, and the tickets with them.
 *
 * @param credentials of a KRB-CRED or a cache; their keys and tickets must not be in use.
 */
export function wipeCredentials(credentials: readonly Credential[]): void {
  for (const { key, ticket } of credentials) {
    key.bytes.fill(0);
    ticket.fill(0);
  }
}
