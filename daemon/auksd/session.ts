// An authenticated client: its principal, and its KRB-PRIV messages, sealed and opened with the addresses that it uses. Behind
// NAT those are not the connection's, which shows only in its first message.
import { plainAddress } from "../../lib/bytes/host_address.ts";
import {
  DUMMY_ADDRESS,
  type HostAddress,
  type ServerAuthentication,
} from "../../lib/krb5/authentication.ts";
import { KerberosError } from "../../lib/krb5/context.ts";
import type { Authenticator } from "./authenticator.ts";
import { LENGTH_BYTES } from "./frames.ts";

/** RFC 4120: the addresses of a message are not those of its sender and receiver. */
const KRB_AP_ERR_BADADDR = 38;
const ADDRESS_TYPE: Readonly<Record<number, number>> = { 4: 2, 16: 24 };

/** The addresses of both ends of a connection, 4 or 16 bytes each. */
export interface Endpoints {
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
}

/** What a client and auksd share from its AP-REQ on, until {@linkcode release}. */
export class Session {
  readonly #authenticator: Authenticator;
  readonly #client: ServerAuthentication;
  readonly #endpoints: Endpoints;
  /** Whether the client is believed to be behind NAT. */
  #nat: boolean;
  /** Whether its messages have shown that. */
  #isNatKnown = false;

  private constructor(
    authenticator: Authenticator,
    client: ServerAuthentication,
    endpoints: Endpoints,
    nat: boolean,
  ) {
    this.#authenticator = authenticator;
    this.#client = client;
    this.#endpoints = endpoints;
    this.#nat = nat;
  }

  /**
   * Verifies an AP-REQ.
   *
   * @param nat which addresses to expect first; the client's messages decide.
   * @throws {KerberosError} with the reason for a refusal.
   */
  static accept(
    authenticator: Authenticator,
    request: Uint8Array,
    endpoints: Endpoints,
    nat: boolean,
  ): Session {
    const session = new Session(authenticator, authenticator.accept(request), endpoints, nat);
    try {
      session.#setAddresses();
      return session;
    } catch (error) {
      session.release();
      throw error;
    }
  }

  get principal(): string {
    return this.#client.client;
  }

  /** The AP-REP, if the client wants one. */
  reply(): Uint8Array | undefined {
    return this.#client.wantsReply ? this.#client.reply() : undefined;
  }

  /** The contents of a KRB-PRIV. @throws {KerberosError} if it is not this client's, or was altered. */
  open(message: Uint8Array): Uint8Array {
    let payload: Uint8Array;
    try {
      payload = this.#client.open(message);
    } catch (error) {
      const isForeign = error instanceof KerberosError && error.protocolCode === KRB_AP_ERR_BADADDR;
      if (!isForeign || this.#isNatKnown) throw error;
      this.#nat = !this.#nat;
      this.#setAddresses();
      payload = this.#client.open(message);
    }
    this.#isNatKnown = true;
    return payload;
  }

  /** A KRB-PRIV with this payload, behind room for its length. */
  seal(payload: Uint8Array): Uint8Array {
    return this.#client.seal(payload, LENGTH_BYTES);
  }

  /** Frees its memory. */
  release(): void {
    this.#authenticator.release(this.#client);
  }

  #setAddresses(): void {
    const { local, remote } = this.#endpoints;
    if (this.#nat) this.#client.setAddresses(DUMMY_ADDRESS, DUMMY_ADDRESS);
    else this.#client.setAddresses(hostAddress(local), hostAddress(remote));
  }
}

function hostAddress(address: Uint8Array): HostAddress {
  const bytes = plainAddress(address);
  return { type: ADDRESS_TYPE[bytes.length]!, bytes };
}
