// A KRB-CRED in the clear (RFC 4120 section 5.8.1, EncryptedData of etype 0), which is how AUKS carries
// tickets: from bytes, to bytes, and what AUKS computes from one.
import { DerError, type DerNode, DerReader, formatDer, integerNode, node, TAG } from "./der.ts";
import { AuksError } from "./errors.ts";
import {
  formatPrincipal,
  MAX_PRINCIPAL_LENGTH,
  type Principal,
  samePrincipal,
  tgsRealm,
} from "./principal.ts";

/** Most tickets in a KRB-CRED; AUKS has one or two. */
export const MAX_TICKETS = 16;
/** Most bytes of a KRB-CRED that any AUKS takes. */
export const MAX_KRB_CRED_LENGTH = 32_768;

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

/** What a KRB-CRED holds. */
export interface KrbCred {
  /** At least one; the first is the ticket of the client's own realm. */
  readonly credentials: readonly Credential[];
  /** When it was made, seconds since the epoch; 0 if it does not say. */
  readonly timestamp: number;
  /** Microseconds of that. */
  readonly usec: number;
}

/** What AUKS keeps of a KRB-CRED beside it. */
export interface KrbCredSummary {
  /** Client of the first ticket, at most 127 bytes. */
  readonly principal: string;
  readonly starttime: number;
  readonly endtime: number;
  /** 0 if it can't be renewed. */
  readonly renewTill: number;
  readonly addressless: boolean;
  /** Whether there is more than one ticket. */
  readonly crossrealm: boolean;
}

const PVNO = 5;
const MSG_TYPE = 22;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const toUtf8 = new TextEncoder();

/**
 * Reads a KRB-CRED. Keys and tickets are views of the bytes, so that {@linkcode wipeKrbCred} of either is enough.
 *
 * @param bytes the KRB-CRED and nothing behind it.
 * @returns what it holds.
 * @throws {AuksError} CRED_TOO_LARGE, or CRED_READ if it is anything but one encoding of a KRB-CRED in the clear.
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
  // A null cipher pads nothing, so nothing may follow.
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

/** Takes the field [number] if it is there. */
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
  if (found !== expected) throw new DerError(`${what} ${found} in place of ${expected}`);
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

/** A ticket's shape is checked (RFC 4120 section 5.3); what is in it is its server's business. */
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
    // The key's version: 32 bits with or without a sign, which makes 5 bytes of some.
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
  const bytes = reader.take(TAG.generalizedTime);
  if (bytes.length !== 15) throw new DerError("a time that is not YYYYMMDDHHMMSSZ");
  const text = String.fromCharCode(...bytes);
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text) ?? [];
  if (second === undefined) throw new DerError("a time that is not YYYYMMDDHHMMSSZ");
  const ms = Date.UTC(+year!, +month! - 1, +day!, +hour!, +minute!, +second);
  // Date takes the 32nd of a month, and years below 100 for those of another century.
  if (timeText(ms / 1000) !== text || ms < 0 || ms / 1000 > 0xffff_ffff) {
    throw new DerError(`time ${text} is not possible`);
  }
  return ms / 1000;
}

function timeText(seconds: number): string {
  return Number.isFinite(seconds)
    ? `${new Date(seconds * 1000).toISOString().replace(/\.000Z$|[-T:]/g, "")}Z`
    : "";
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

/**
 * Writes a KRB-CRED, byte for byte as libkrb5 does.
 *
 * @param cred what it holds.
 * @returns its DER; the caller wipes it.
 *
 * @example
 * ```ts
 * import { readFileSync } from "node:fs";
 * import { formatKrbCred, parseKrbCred } from "./lib/auks/krb_cred.ts";
 * import { parseSendFile } from "./lib/auks/send_file.ts";
 *
 * const { krbCred } = parseSendFile(readFileSync("tests/auks/reference/files/send-bob"));
 * const again = formatKrbCred(parseKrbCred(krbCred));
 * console.log(again.every((byte, i) => byte === krbCred[i])); // true
 * ```
 */
export function formatKrbCred(cred: KrbCred): Uint8Array {
  const inner = node(
    TAG.application(29),
    node(
      TAG.sequence,
      context(0, node(TAG.sequence, ...cred.credentials.map(credentialNode))),
      ...(cred.timestamp === 0 ? [] : [context(2, timeNode(cred.timestamp))]),
      ...(cred.timestamp === 0 ? [] : [context(3, integerNode(cred.usec))]),
    ),
  );
  return formatDer(
    node(
      TAG.application(22),
      node(
        TAG.sequence,
        context(0, integerNode(PVNO)),
        context(1, integerNode(MSG_TYPE)),
        context(2, node(TAG.sequence, ...cred.credentials.map(({ ticket }) => ticket))),
        context(
          3,
          node(TAG.sequence, context(0, integerNode(0)), context(2, node(TAG.octetString, inner))),
        ),
      ),
    ),
  );
}

function context(number: number, value: DerNode): DerNode {
  return node(TAG.context(number), value);
}

function credentialNode(credential: Credential): DerNode {
  const { key, client, server, flags, addresses } = credential;
  const time = (number: number, seconds: number) =>
    seconds === 0 ? [] : [context(number, timeNode(seconds))];
  return node(
    TAG.sequence,
    context(
      0,
      node(
        TAG.sequence,
        context(0, integerNode(key.enctype)),
        context(1, node(TAG.octetString, key.bytes)),
      ),
    ),
    context(1, stringNode(client.realm)),
    context(2, nameNode(client)),
    context(
      3,
      node(TAG.bitString, Uint8Array.of(0, flags >>> 24, flags >>> 16, flags >>> 8, flags)),
    ),
    ...time(4, credential.authtime),
    ...time(5, credential.starttime),
    context(6, timeNode(credential.endtime)),
    ...time(7, credential.renewTill),
    context(8, stringNode(server.realm)),
    context(9, nameNode(server)),
    ...(addresses.length === 0
      ? []
      : [context(10, node(TAG.sequence, ...addresses.map(addressNode)))]),
  );
}

function stringNode(text: string): DerNode {
  return node(TAG.generalString, toUtf8.encode(text));
}

function nameNode({ nameType, components }: Principal): DerNode {
  return node(
    TAG.sequence,
    context(0, integerNode(nameType)),
    context(1, node(TAG.sequence, ...components.map(stringNode))),
  );
}

function timeNode(seconds: number): DerNode {
  return node(TAG.generalizedTime, toUtf8.encode(timeText(seconds)));
}

function addressNode({ type, bytes }: HostAddress): DerNode {
  return node(
    TAG.sequence,
    context(0, integerNode(type)),
    context(1, node(TAG.octetString, bytes)),
  );
}

/**
 * What AUKS keeps of a KRB-CRED beside it: client and address of the first ticket, the times of all.
 *
 * @param cred what {@linkcode parseKrbCred} gave.
 * @returns principal, times and flags.
 * @throws {AuksError} CRED_PRINCIPAL_TOO_LONG.
 */
export function summarizeKrbCred(cred: KrbCred): KrbCredSummary {
  const { credentials } = cred;
  const first = credentials[0]!;
  const principal = formatPrincipal(first.client);
  const length = toUtf8.encode(principal).length;
  if (length > MAX_PRINCIPAL_LENGTH) {
    throw new AuksError(
      "CRED_PRINCIPAL_TOO_LONG",
      `${length} bytes, at most ${MAX_PRINCIPAL_LENGTH}`,
    );
  }
  return {
    principal,
    // A ticket that does not say when it begins is valid from the authentication on (RFC 4120 section 5.3).
    starttime: Math.min(...credentials.map(({ starttime, authtime }) => starttime || authtime)),
    endtime: Math.min(...credentials.map(({ endtime }) => endtime)),
    renewTill: Math.max(...credentials.map(({ renewTill }) => renewTill)),
    addressless: first.addresses.length === 0,
    crossrealm: credentials.length > 1,
  };
}

/**
 * Why a KRB-CRED is not one of ticket-granting tickets of one client, the first of them for his own realm. The
 * original does not look and stores tickets for any service.
 *
 * @param cred what {@linkcode parseKrbCred} gave.
 * @returns the reason, or undefined if it is one.
 */
export function whyNotTgts(cred: KrbCred): string | undefined {
  const client = cred.credentials[0]!.client;
  for (const [i, credential] of cred.credentials.entries()) {
    const server = formatPrincipal(credential.server);
    const realm = tgsRealm(credential.server);
    if (realm === undefined) return `a ticket for ${server} is no ticket-granting ticket`;
    if (credential.server.realm !== client.realm) {
      return `the ticket for ${server} is not of the realm of ${formatPrincipal(client)}`;
    }
    if ((realm === client.realm) !== (i === 0)) {
      return i === 0
        ? `the first ticket is for ${server}, not for the realm of ${formatPrincipal(client)}`
        : `two tickets for ${server}`;
    }
    if (!samePrincipal(credential.client, client)) {
      return `tickets of ${formatPrincipal(client)} and of ${formatPrincipal(credential.client)}`;
    }
  }
  return undefined;
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
