// Tickets with their session keys (krb5_creds), and conversion from and to KRB-CRED messages.
import { read } from "../os/libc.ts";
import type { Context } from "./context.ts";
import { ADDRESS, CREDS } from "./layout.ts";
import { libkrb5 } from "./library.ts";
import {
  type Address,
  clearCells,
  copyBytes,
  copyData,
  dataAddress,
  resultAddress,
  resultCell,
  secondAddress,
  secondCell,
  wipeBytes,
  wipeData,
  withData,
} from "./memory.ts";
import { Principal, principalText } from "./principal.ts";

/** Ticket flags (RFC 4120, section 5.3), with libkrb5's values. */
export const TICKET_FLAGS = {
  forwardable: 0x4000_0000,
  forwarded: 0x2000_0000,
  proxiable: 0x1000_0000,
  invalid: 0x0100_0000,
  renewable: 0x0080_0000,
  initial: 0x0040_0000,
  preAuthenticated: 0x0020_0000,
} as const;

/** A ticket and its session key in libkrb5's memory; {@linkcode free} wipes both. */
export class Credential {
  readonly #context: Context;
  /** For other files in this folder. */
  readonly address: Address;

  /** @param address of a krb5_creds that the new object frees. */
  constructor(context: Context, address: Address) {
    this.#context = context;
    this.address = address;
  }

  /** A copy of a krb5_creds, which its owner keeps. @throws {KerberosError} */
  static copy(context: Context, address: Address): Credential {
    const code = libkrb5().krb5_copy_creds(context.address, address, resultCell);
    context.check("krb5_copy_creds", code);
    return new Credential(context, resultAddress());
  }

  /** The client: `alice@REALM.A`. */
  get client(): string {
    return principalText(this.#context, read.ptr(this.address, CREDS.client) as Address);
  }

  /** The service: `krbtgt/REALM.A@REALM.A`. */
  get server(): string {
    return principalText(this.#context, read.ptr(this.address, CREDS.server) as Address);
  }

  /** A copy of the client's principal. @throws {KerberosError} */
  copyClient(): Principal {
    const code = libkrb5().krb5_copy_principal(
      this.#context.address,
      read.ptr(this.address, CREDS.client) as Address,
      resultCell,
    );
    this.#context.check("krb5_copy_principal", code);
    return new Principal(this.#context, resultAddress());
  }

  /** When the client authenticated. Seconds since 1970, like all times here. */
  get authTime(): number {
    return read.u32(this.address, CREDS.authTime);
  }

  /** When the ticket becomes valid; 0 if the KDC did not say, which means {@linkcode authTime}. */
  get startTime(): number {
    return read.u32(this.address, CREDS.startTime);
  }

  /** When it expires. */
  get endTime(): number {
    return read.u32(this.address, CREDS.endTime);
  }

  /** Until when it can be renewed; 0 if it can't be. */
  get renewTill(): number {
    return read.u32(this.address, CREDS.renewTill);
  }

  /** {@linkcode TICKET_FLAGS}, and others. */
  get flags(): number {
    return read.u32(this.address, CREDS.flags);
  }

  /** Enctype of the session key; private ones are negative. */
  get keyEnctype(): number {
    return read.i32(this.address, CREDS.keyEnctype);
  }

  /** The addresses it is valid for; none for any. */
  get addresses(): { type: number; bytes: Uint8Array }[] {
    const list = read.ptr(this.address, CREDS.addresses) as Address;
    const found: { type: number; bytes: Uint8Array }[] = [];
    if ((list as number) === 0) return found;
    for (let at = 0;; at += 8) {
      const address = read.ptr(list, at) as Address;
      if ((address as number) === 0) return found;
      found.push({
        type: read.i32(address, ADDRESS.type),
        bytes: copyBytes(
          read.ptr(address, ADDRESS.contents) as Address,
          read.u32(address, ADDRESS.length),
        ),
      });
    }
  }

  /** A copy of the encoded Ticket. */
  get ticket(): Uint8Array {
    return copyData(this.address + CREDS.ticket as Address);
  }

  /** Wipes and frees it. */
  free(): void {
    wipeCredential(this.address);
    libkrb5().krb5_free_creds(this.#context.address, this.address);
  }

  [Symbol.dispose](): void {
    this.free();
  }
}

/** Overwrites the session key and the ticket of a krb5_creds. */
export function wipeCredential(address: Address): void {
  wipeBytes(
    read.ptr(address, CREDS.keyContents) as Address,
    read.u32(address, CREDS.keyLength),
  );
  wipeData(address + CREDS.ticket as Address);
}

/** Runs `call` with a krb5_auth_context without key and flags, so that its output is in the clear. */
function withPlainAuthentication<T>(context: Context, call: (address: Address) => T): T {
  const krb5 = libkrb5();
  context.check("krb5_auth_con_init", krb5.krb5_auth_con_init(context.address, secondCell));
  const authentication = secondAddress();
  try {
    context.check(
      "krb5_auth_con_setflags",
      krb5.krb5_auth_con_setflags(context.address, authentication, 0),
    );
    return call(authentication);
  } finally {
    krb5.krb5_auth_con_free(context.address, authentication);
  }
}

/**
 * An unencrypted KRB-CRED with these tickets and their session keys, as AUKS sends and stores it.
 *
 * @throws {KerberosError}
 */
export function makeKrbCred(context: Context, credentials: readonly Credential[]): Uint8Array {
  const krb5 = libkrb5();
  const list = new Uint8Array((credentials.length + 1) * 8);
  const view = new DataView(list.buffer);
  credentials.forEach(({ address }, at) => view.setBigUint64(at * 8, BigInt(address), true));
  return withPlainAuthentication(context, (authentication) => {
    clearCells();
    const code = withData(list, (data) =>
      krb5.krb5_mk_ncred(
        context.address,
        authentication,
        dataAddress(data),
        resultCell,
        null,
      ));
    context.check("krb5_mk_ncred", code);
    const data = resultAddress();
    const bytes = copyData(data);
    wipeData(data);
    krb5.krb5_free_data(context.address, data);
    return bytes;
  });
}

/**
 * The tickets of an unencrypted KRB-CRED, in order; the caller frees each.
 *
 * @throws {KerberosError} if it is malformed or encrypted.
 */
export function readKrbCred(context: Context, bytes: Uint8Array): Credential[] {
  const krb5 = libkrb5();
  return withPlainAuthentication(context, (authentication) => {
    clearCells();
    const code = withData(
      bytes,
      (data) => krb5.krb5_rd_cred(context.address, authentication, data, resultCell, null),
    );
    context.check("krb5_rd_cred", code);
    const list = resultAddress();
    const credentials: Credential[] = [];
    for (let at = 0;; at += 8) {
      const address = read.ptr(list, at) as Address;
      if ((address as number) === 0) break;
      credentials.push(Credential.copy(context, address));
      wipeCredential(address);
    }
    krb5.krb5_free_tgt_creds(context.address, list);
    return credentials;
  });
}
