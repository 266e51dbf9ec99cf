// Both sides of libkrb5's sendauth exchange, on buffers instead of a descriptor, and the KRB-PRIV messages of an
// authenticated connection. Their framing on the wire belongs to AUKS.
import { read } from "../os/libc.ts";
import type { Context } from "./context.ts";
import type { Credential } from "./credential.ts";
import type { Keytab } from "./keytab.ts";
import { ADDRESS, AUTHENTICATOR } from "./layout.ts";
import { libkrb5 } from "./library.ts";
import {
  type Address,
  clearCells,
  cText,
  outputData,
  resultAddress,
  resultCell,
  secondCell,
  takeOutput,
  threadMemory,
  withData,
} from "./memory.ts";
import { type Principal, principalText } from "./principal.ts";

/** An address in Kerberos messages (RFC 4120, section 7.5.3). */
export interface HostAddress {
  /** 2: IPv4, 24: IPv6. */
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** The address that both sides of an AUKS connection with NAT = yes use for both ends. */
export const DUMMY_ADDRESS: HostAddress = { type: 2, bytes: new TextEncoder().encode("dummy") };

const ADDRESS_BYTES_MAX = 16;
const DO_SEQUENCE = 4;
const MUTUAL_REQUIRED = 0x2000_0000;
const USE_SUBKEY = 1;

/** Cell for the krb5_auth_context that calls use or create. */
const own = threadMemory(8);
const ownView = new DataView(own.bytes.buffer);
const addresses = [0, 1].map(() => threadMemory(ADDRESS.bytes + ADDRESS_BYTES_MAX));

function putAddress(slot: 0 | 1, { type, bytes }: HostAddress): Address {
  const { bytes: memory, at } = addresses[slot]!;
  if (bytes.length > ADDRESS_BYTES_MAX) throw new RangeError(`An address of ${bytes.length} bytes`);
  const view = new DataView(memory.buffer);
  view.setUint32(ADDRESS.type, type, true);
  view.setUint32(ADDRESS.length, bytes.length, true);
  view.setBigUint64(ADDRESS.contents, BigInt(at + ADDRESS.bytes), true);
  memory.set(bytes, ADDRESS.bytes);
  return at;
}

/** One side of a connection: its keys, sequence numbers and addresses (a krb5_auth_context). */
class Authentication {
  /** For subclasses. */
  protected readonly context: Context;
  protected readonly address: Address;

  constructor(context: Context) {
    this.context = context;
    const krb5 = libkrb5();
    context.check("krb5_auth_con_init", krb5.krb5_auth_con_init(context.address, resultCell));
    this.address = resultAddress();
    krb5.krb5_auth_con_setflags(context.address, this.address, DO_SEQUENCE);
  }

  /** Sets the addresses of both sides in KRB-PRIV messages. @throws {KerberosError} */
  setAddresses(local: HostAddress, remote: HostAddress): void {
    const code = libkrb5().krb5_auth_con_setaddrs(
      this.context.address,
      this.address,
      putAddress(0, local),
      putAddress(1, remote),
    );
    this.context.check("krb5_auth_con_setaddrs", code);
  }

  /**
   * Makes the next KRB-PRIV for the other side.
   *
   * @param room zeros before it, for the header of a frame.
   * @throws {KerberosError}
   */
  seal(payload: Uint8Array, room = 0): Uint8Array {
    const { context, address } = this;
    const code = withData(
      payload,
      (data) => libkrb5().krb5_mk_priv(context.address, address, data, outputData, null),
    );
    context.check("krb5_mk_priv", code);
    return takeOutput(context.address, room);
  }

  /**
   * Reads the other side's next KRB-PRIV. After an error, the same message may be tried again with other addresses.
   *
   * @throws {KerberosError}
   */
  open(message: Uint8Array): Uint8Array {
    const { context, address } = this;
    const code = withData(
      message,
      (data) => libkrb5().krb5_rd_priv(context.address, address, data, outputData, null),
    );
    context.check("krb5_rd_priv", code);
    return takeOutput(context.address);
  }

  /** Wipes and frees it. */
  free(): void {
    libkrb5().krb5_auth_con_free(this.context.address, this.address);
  }

  [Symbol.dispose](): void {
    this.free();
  }
}

/** The client's side. */
export class ClientAuthentication extends Authentication {
  /**
   * The AP-REQ for a service, requesting mutual authentication, with a subkey and a sequence number.
   *
   * @param ticket from serviceTicket().
   * @throws {KerberosError}
   */
  request(ticket: Credential): Uint8Array {
    const { context } = this;
    ownView.setBigUint64(0, BigInt(this.address), true);
    const code = libkrb5().krb5_mk_req_extended(
      context.address,
      own.at,
      MUTUAL_REQUIRED | USE_SUBKEY,
      null,
      ticket.address,
      outputData,
    );
    context.check("krb5_mk_req_extended", code);
    return takeOutput(context.address);
  }

  /** Checks the service's AP-REP. @throws {KerberosError} if it does not prove the service's identity. */
  readReply(reply: Uint8Array): void {
    const { context, address } = this;
    clearCells();
    const code = withData(
      reply,
      (data) => libkrb5().krb5_rd_rep(context.address, address, data, resultCell),
    );
    context.check("krb5_rd_rep", code);
    libkrb5().krb5_free_ap_rep_enc_part(context.address, resultAddress());
  }
}

/** libkrb5's replay cache of authenticators; one per thread. */
export class ReplayCache {
  readonly #context: Context;
  readonly #name: string;

  /** @param name `dfl:` for the one from krb5.conf or KRB5RCACHENAME, `none:` for none. */
  constructor(context: Context, name: "dfl:" | "none:") {
    this.#context = context;
    this.#name = name;
  }

  /** A krb5_rcache, which the caller frees. @throws {KerberosError} */
  open(): Address {
    const code = libkrb5().k5_rc_resolve(this.#context.address, cText(this.#name), resultCell);
    this.#context.check("k5_rc_resolve", code);
    return resultAddress();
  }
}

/** The service's side, once a client has authenticated. */
export class ServerAuthentication extends Authentication {
  /** The client: `alice@REALM.A`. */
  client = "";
  /** Whether the client waits for an AP-REP. */
  wantsReply = false;

  /**
   * Checks a client's AP-REQ.
   *
   * @param server the only principal whose tickets are accepted.
   * @throws {KerberosError} if it is refused, usually with a protocolCode.
   */
  static accept(
    context: Context,
    request: Uint8Array,
    server: Principal,
    keytab: Keytab,
    replayCache: ReplayCache,
  ): ServerAuthentication {
    const authentication = new ServerAuthentication(context);
    try {
      authentication.#read(request, server, keytab, replayCache);
      return authentication;
    } catch (error) {
      authentication.free();
      throw error;
    }
  }

  #read(request: Uint8Array, server: Principal, keytab: Keytab, replayCache: ReplayCache): void {
    const krb5 = libkrb5();
    const { context, address } = this;
    krb5.krb5_auth_con_setrcache(context.address, address, replayCache.open());
    ownView.setBigUint64(0, BigInt(address), true);
    clearCells();
    const code = withData(request, (data) =>
      krb5.krb5_rd_req(
        context.address,
        own.at,
        data,
        server.address,
        keytab.address,
        secondCell,
        null,
      ));
    context.check("krb5_rd_req", code);
    this.wantsReply = (read.u32(secondCell, 0) & MUTUAL_REQUIRED) !== 0;
    context.check(
      "krb5_auth_con_getauthenticator",
      krb5.krb5_auth_con_getauthenticator(context.address, address, resultCell),
    );
    const authenticator = resultAddress();
    try {
      this.client = principalText(
        context,
        read.ptr(authenticator, AUTHENTICATOR.client) as Address,
      );
    } finally {
      krb5.krb5_free_authenticator(context.address, authenticator);
    }
  }

  /** The AP-REP. @throws {KerberosError} */
  reply(): Uint8Array {
    const { context, address } = this;
    context.check("krb5_mk_rep", libkrb5().krb5_mk_rep(context.address, address, outputData));
    return takeOutput(context.address);
  }
}
