// A ticket with everything its owner needs to use it, as in KRB-CREDs and caches.
import type { Principal } from "./principal.ts";

/** An address to which a ticket is bound. */
export interface HostAddress {
  /** 2 for IPv4, 24 for IPv6. */
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** A ticket and everything its owner needs to use it. */
export interface Credential {
  readonly client: Principal;
  readonly server: Principal;
  /** The session key: a secret. */
  readonly key: { readonly enctype: number; readonly bytes: Uint8Array };
  /** Ticket flags, the first in the highest bit. */
  readonly flags: number;
  /** Seconds since the epoch. */
  readonly authtime: number;
  /** Seconds since the epoch; 0 for none. */
  readonly starttime: number;
  /** Seconds since the epoch. */
  readonly endtime: number;
  /** Seconds since the epoch; 0 if it can't be renewed. */
  readonly renewTill: number;
  /** Empty for a ticket valid from any address. */
  readonly addresses: readonly HostAddress[];
  /** DER of the ticket. */
  readonly ticket: Uint8Array;
}
