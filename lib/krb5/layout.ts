// The layout of libkrb5's structs in its public header for 64 bits, and a check that the installed library agrees, which
// makes it read a credential with known values.
import { read } from "../os/libc.ts";
import { libkrb5 } from "./library.ts";
import {
  type Address,
  clearCells,
  copyBytes,
  copyData,
  resultAddress,
  resultCell,
  secondAddress,
  secondCell,
  withData,
} from "./memory.ts";
import { KerberosUnavailable } from "./unavailable.ts";

/** krb5_creds. */
export const CREDS = {
  bytes: 120,
  client: 8,
  server: 16,
  keyEnctype: 28,
  keyLength: 32,
  keyContents: 40,
  authTime: 48,
  startTime: 52,
  endTime: 56,
  renewTill: 60,
  flags: 68,
  addresses: 72,
  ticket: 80,
} as const;

/** krb5_principal_data; the components are an array of krb5_data. */
export const PRINCIPAL = { realm: 8, components: 24, count: 32, type: 36 } as const;

/** krb5_data, of which other structs hold arrays. */
export const DATA_SIZE = 16;

/** krb5_address. */
export const ADDRESS = { bytes: 24, type: 4, length: 8, contents: 16 } as const;

/** krb5_keytab_entry. */
export const KEYTAB_ENTRY = { bytes: 48, principal: 8, version: 20, enctype: 28 } as const;

/** krb5_authenticator. */
export const AUTHENTICATOR = { client: 8, subkey: 32 } as const;

/** A KRB-CRED (RFC 4120, section 5.8) for krbtgt/REALM@REALM and user@REALM, with the values below. */
const SAMPLE = Uint8Array.fromBase64(
  "doIBUTCCAU2gAwIBBaEDAgEWokMwQWE/MD2gAwIBBaEHGwVSRUFMTaIaMBigAwIBAqERMA8bBmtyYnRndBsFUkVB" +
    "TE2jETAPoAMCARKiCAQGdGlja2V0o4H7MIH4oAMCAQCigfAEge19geowgeeggcwwgckwgcagGzAZoAMCARGhEgQQ" +
    "AQIDBAUGBwgJCgsMDQ4PEKEHGwVSRUFMTaIRMA+gAwIBAaEIMAYbBHVzZXKjBwMFAFDhAACkERgPMjAwMTA5MDkw" +
    "MTQ2NDFapREYDzIwMDEwOTA5MDE0NjQyWqYRGA8yMDAxMDkwOTAxNDY0M1qnERgPMjAwMTA5MDkwMTQ2NDRaqAcb" +
    "BVJFQUxNqRowGKADAgECoREwDxsGa3JidGd0GwVSRUFMTaoRMA8wDaADAgECoQYEBAECAwSiERgPMjAwMTA5MDkw" +
    "MTQ2NDBaowMCAQA=",
);
const SAMPLE_TICKET_BYTES = 65;
const KEY = Uint8Array.from({ length: 16 }, (_, at) => at + 1);

let checked = false;

/**
 * Makes the library read a known credential, and checks that every value is in its place; once per thread.
 *
 * @throws {KerberosUnavailable} if one is not.
 */
export function checkLayout(context: Address): void {
  if (checked) return;
  const krb5 = libkrb5();
  clearCells();
  if (krb5.krb5_auth_con_init(context, secondCell) !== 0) refuse("krb5_auth_context");
  const authentication = secondAddress();
  krb5.krb5_auth_con_setflags(context, authentication, 0);
  const code = withData(
    SAMPLE,
    (data) => krb5.krb5_rd_cred(context, authentication, data, resultCell, null),
  );
  krb5.krb5_auth_con_free(context, authentication);
  if (code !== 0) refuse("KRB-CRED");
  const list = resultAddress();
  const wrong = wrongField(read.ptr(list, 0) as Address);
  if (wrong !== undefined) refuse(wrong);
  krb5.krb5_free_tgt_creds(context, list);
  checked = true;
}

/** The name of a field that is not where {@linkcode CREDS} and the others say. */
function wrongField(creds: Address): string | undefined {
  const word = (at: number) => read.u32(creds, at);
  const numbers: Readonly<Record<string, readonly [number, number]>> = {
    keyEnctype: [word(CREDS.keyEnctype), 17],
    keyLength: [word(CREDS.keyLength), KEY.length],
    authTime: [word(CREDS.authTime), 1_000_000_001],
    startTime: [word(CREDS.startTime), 1_000_000_002],
    endTime: [word(CREDS.endTime), 1_000_000_003],
    renewTill: [word(CREDS.renewTill), 1_000_000_004],
    flags: [word(CREDS.flags), 0x50e1_0000],
    ticket: [word(CREDS.ticket + 4), SAMPLE_TICKET_BYTES],
  };
  // Pointers are followed only if all numbers around them are right.
  for (const [name, [found, expected]] of Object.entries(numbers)) {
    if (found !== expected) return `krb5_creds.${name}`;
  }
  const key = copyBytes(read.ptr(creds, CREDS.keyContents) as Address, KEY.length);
  if (!key.every((byte, at) => byte === KEY[at])) return "krb5_creds.keyContents";
  const client = read.ptr(creds, CREDS.client) as Address;
  if (read.u32(client, PRINCIPAL.count) !== 1) return "krb5_principal.count";
  if (read.u32(client, PRINCIPAL.type) !== 1) return "krb5_principal.type";
  if (textOf(client + PRINCIPAL.realm) !== "REALM") return "krb5_principal.realm";
  const components = read.ptr(read.ptr(creds, CREDS.server) as Address, PRINCIPAL.components);
  if (textOf(components) !== "krbtgt") return "krb5_creds.server";
  if (textOf(components + DATA_SIZE) !== "REALM") return "krb5_principal.components";
  const address = read.ptr(read.ptr(creds, CREDS.addresses) as Address, 0) as Address;
  if (read.u32(address, ADDRESS.type) !== 2) return "krb5_address.type";
  if (read.u32(address, ADDRESS.length) !== 4) return "krb5_address.length";
  const contents = copyBytes(read.ptr(address, ADDRESS.contents) as Address, 4);
  return contents.join() === "1,2,3,4" ? undefined : "krb5_address.contents";
}

function textOf(data: number): string {
  return new TextDecoder().decode(copyData(data as Address));
}

function refuse(what: string): never {
  throw new KerberosUnavailable(
    `The Kerberos library has an unknown layout of ${what}: mungebox needs MIT Kerberos on ${process.arch}`,
  );
}
