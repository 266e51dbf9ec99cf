// Strict parser for an unencrypted KRB-CRED (RFC 4120 section 5.8.1, EncryptedData of etype 0), in which AUKS carries
// tickets. The writer is in krb_cred_writer.ts.
import type { Credential, HostAddress } from "./credential.ts";
import { DerError, DerReader, TAG } from "./der.ts";
import { AuksError } from "./errors.ts";
import { parseKerberosTime } from "./kerberos_time.ts";
import type { Principal } from "./principal.ts";

/** Maximum number of tickets in a KRB-CRED; AUKS uses one or two. */
export const MAX_TICKETS = 16;
/** Maximum size of a KRB-CRED that any AUKS accepts. */
export const MAX_KRB_CRED_LENGTH = 32_768;

/** The contents of a KRB-CRED. */
export interface KrbCred {
  /** At least one; the first is for the client's own realm. */
  readonly credentials: readonly Credential[];
  /** When it was made, seconds since the epoch; 0 if absent. */
  readonly timestamp: number;
  /** Microseconds of that. */
  readonly usec: number;
}

/** Kerberos version, in the message and in each ticket. */
export const PVNO = 5;
/** Type of the message. */
export const MSG_TYPE = 22;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ascii = new TextDecoder("latin1");

/**
 * Parses a KRB-CRED. Keys and tickets are views of the bytes, so wiping either is enough.
 *
 * @param bytes exactly the KRB-CRED.
 * @returns its contents.
 * @throws {AuksError} CRED_TOO_LARGE, or CRED_READ if it is not a strict encoding of an unencrypted KRB-CRED.
 *
 * @example
 * ```ts
 * import { AuksError } from "./lib/auks/errors.ts";
 * import { parseKrbCred } from "./lib/auks/krb_cred.ts";
 *
 * try {
 *   parseKrbCred(Uint8Array.of(0x76, 0));
 * } catch (error) {
 *   console.log(error instanceof AuksError && error.error); // "CRED_READ"
 * }
 * ```
 */
export function parseKrbCred(bytes: Uint8Array): KrbCred {
  if (bytes.length > MAX_KRB_CRED_LENGTH) {
    throw new AuksError("CRED_TOO_LARGE", `${bytes.length} bytes, at most ${MAX_KRB_CRED_LENGTH}`);
  }
  try {
    return readKrbCred(bytes);
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    throw new AuksError("CRED_READ", `not a KRB-CRED: ${error.message}`);
  }
}

function readKrbCred(bytes: Uint8Array): KrbCred {
  const outer = new DerReader(bytes);
  const message = outer.open(TAG.application(22));
  outer.end();
  const fields = message.open(TAG.sequence);
  message.end();
  expect("version", field(fields, 0, (r) => r.integer()), PVNO);
  expect("message type", field(fields, 1, (r) => r.integer()), MSG_TYPE);
  const tickets = field(fields, 2, readTickets);
  const inner = field(fields, 3, readNullEncryption);
  fields.end();

  const reader = new DerReader(inner);
  const part = reader.open(TAG.application(29));
  // A null cipher does not pad, so nothing may follow.
  reader.end();
  const parts = part.open(TAG.sequence);
  part.end();
  const credentials = field(parts, 0, (r) => readCredentials(r, tickets));
  optional(parts, 1, (r) => r.take(TAG.integer));
  const timestamp = optional(parts, 2, readTime) ?? 0;
  const usec = optional(parts, 3, (r) => r.integer()) ?? 0;
  optional(parts, 4, readAddress);
  optional(parts, 5, readAddress);
  parts.end();
  return { credentials, timestamp, usec };
}

/** Takes the field [number]. */
function field<T>(reader: DerReader, number: number, read: (reader: DerReader) => T): T {
  const content = reader.open(TAG.context(number));
  const value = read(content);
  content.end();
  return value;
}

/** Takes the field [number] if present. */
function optional<T>(
  reader: DerReader,
  number: number,
  read: (reader: DerReader) => T,
): T | undefined {
  const content = reader.openIf(TAG.context(number));
  if (content === undefined) return undefined;
  const value = read(content);
  content.end();
  return value;
}

function expect(what: string, found: number, expected: number): void {
  if (found !== expected) throw new DerError(`${what} ${found} instead of ${expected}`);
}

function readTickets(reader: DerReader): Uint8Array[] {
  const list = reader.open(TAG.sequence);
  const tickets: Uint8Array[] = [];
  while (!list.atEnd) {
    if (tickets.length === MAX_TICKETS) throw new DerError(`more than ${MAX_TICKETS} tickets`);
    tickets.push(readTicket(list));
  }
  if (tickets.length === 0) throw new DerError("no ticket");
  return tickets;
}

/** Checks the structure of a ticket (RFC 4120 section 5.3); its contents are for its server. */
function readTicket(list: DerReader): Uint8Array {
  const bytes = list.whole(TAG.application(1));
  const outer = new DerReader(bytes).open(TAG.application(1));
  const fields = outer.open(TAG.sequence);
  outer.end();
  expect("ticket version", field(fields, 0, (r) => r.integer()), PVNO);
  field(fields, 1, readString);
  field(fields, 2, readName);
  field(fields, 3, (r) => {
    const data = r.open(TAG.sequence);
    field(data, 0, (f) => f.integer());
    // The key version: signed or unsigned 32 bits, which may take 5 bytes.
    optional(data, 1, (f) => f.take(TAG.integer));
    field(data, 2, (f) => f.take(TAG.octetString));
    data.end();
  });
  fields.end();
  return bytes;
}

function readNullEncryption(reader: DerReader): Uint8Array {
  const data = reader.open(TAG.sequence);
  expect("encryption type", field(data, 0, (r) => r.integer()), 0);
  optional(data, 1, (r) => r.integer());
  const cipher = field(data, 2, (r) => r.take(TAG.octetString));
  data.end();
  return cipher;
}

function readCredentials(reader: DerReader, tickets: readonly Uint8Array[]): Credential[] {
  const list = reader.open(TAG.sequence);
  const credentials = tickets.map((ticket) => readCredential(list, ticket));
  list.end();
  return credentials;
}

function readCredential(list: DerReader, ticket: Uint8Array): Credential {
  const fields = list.open(TAG.sequence);
  const key = field(fields, 0, (r) => {
    const parts = r.open(TAG.sequence);
    const enctype = field(parts, 0, (f) => f.integer());
    const bytes = field(parts, 1, (f) => f.take(TAG.octetString));
    parts.end();
    return { enctype, bytes };
  });
  const realm = field(fields, 1, readString);
  const name = field(fields, 2, readName);
  const flags = optional(fields, 3, readFlags) ?? 0;
  const authtime = optional(fields, 4, readTime) ?? 0;
  const starttime = optional(fields, 5, readTime) ?? 0;
  const endtime = field(fields, 6, readTime);
  const renewTill = optional(fields, 7, readTime) ?? 0;
  const serverRealm = field(fields, 8, readString);
  const serverName = field(fields, 9, readName);
  const addresses = optional(fields, 10, readAddresses) ?? [];
  fields.end();
  return {
    client: { realm, ...name },
    server: { realm: serverRealm, ...serverName },
    key,
    flags,
    authtime,
    starttime,
    endtime,
    renewTill,
    addresses,
    ticket,
  };
}

function readString(reader: DerReader): string {
  const bytes = reader.take(TAG.generalString);
  if (bytes.length === 0) throw new DerError("an empty name");
  if (bytes.includes(0)) throw new DerError("a NUL in a name");
  try {
    return utf8.decode(bytes);
  } catch {
    throw new DerError("a name that is not UTF-8");
  }
}

function readName(reader: DerReader): Omit<Principal, "realm"> {
  const fields = reader.open(TAG.sequence);
  const nameType = field(fields, 0, (r) => r.integer());
  const components = field(fields, 1, (r) => {
    const list = r.open(TAG.sequence);
    const parts: string[] = [];
    while (!list.atEnd) parts.push(readString(list));
    return parts;
  });
  fields.end();
  if (components.length === 0) throw new DerError("a name without components");
  return { nameType, components };
}

function readFlags(reader: DerReader): number {
  const bytes = reader.take(TAG.bitString);
  if (bytes.length !== 5 || bytes[0] !== 0) throw new DerError("flags that are not 32 bits");
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
}

function readTime(reader: DerReader): number {
  const text = ascii.decode(reader.take(TAG.generalizedTime));
  const seconds = parseKerberosTime(text);
  if (seconds === undefined) {
    throw new DerError(`invalid time ${JSON.stringify(text.slice(0, 20))}`);
  }
  return seconds;
}

function readAddress(reader: DerReader): HostAddress {
  const fields = reader.open(TAG.sequence);
  const type = field(fields, 0, (r) => r.integer());
  const bytes = field(fields, 1, (r) => r.take(TAG.octetString));
  fields.end();
  return { type, bytes };
}

function readAddresses(reader: DerReader): HostAddress[] {
  const list = reader.open(TAG.sequence);
  const addresses: HostAddress[] = [];
  while (!list.atEnd) addresses.push(readAddress(list));
  return addresses;
}
