// OUTER, the part of a credential that is in the clear: version, types, realm and IV, followed by the MAC (docs/protocol.md,
// "The credential"). None of it may be trusted before the MAC is checked.
import { FieldReader, type Truncation } from "../bytes/field_reader.ts";
import { copyBytes } from "../bytes/memory.ts";
import { MungeError } from "../errors.ts";
import { type Cipher, CIPHERS } from "./cipher.ts";
import { type Mac, MACS } from "./mac.ts";
import { type Zip, ZIPS } from "./zip.ts";

const VERSION = 3;
const HEAD_LENGTH = 5;

/** The error for a credential that ends within a field. */
export const truncated: Truncation = (field) =>
  new MungeError("EMUNGE_BAD_CRED", `Truncated ${field}`);

/** Cipher, MAC and compression of a credential. */
export interface CredentialTypes {
  readonly cipher: Cipher;
  readonly mac: Mac;
  readonly zip: Zip;
}

/**
 * The cipher, MAC and compression with these numbers, if they can be combined.
 *
 * @throws {MungeError} EMUNGE_BAD_CIPHER, EMUNGE_BAD_MAC or EMUNGE_BAD_ZIP for a number that a
 * credential can't carry, EMUNGE_BAD_MAC for a MAC shorter than the cipher's key.
 */
export function credentialTypes(
  cipherNumber: number,
  macNumber: number,
  zipNumber: number,
): CredentialTypes {
  const cipher = credentialType(CIPHERS, cipherNumber, "EMUNGE_BAD_CIPHER");
  const mac = credentialType(MACS, macNumber, "EMUNGE_BAD_MAC");
  const zip = credentialType(ZIPS, zipNumber, "EMUNGE_BAD_ZIP");
  requireKeyFrom(mac, cipher);
  return { cipher, mac, zip };
}

const TYPE_WORDS = {
  EMUNGE_BAD_CIPHER: "cipher",
  EMUNGE_BAD_MAC: "MAC",
  EMUNGE_BAD_ZIP: "compression",
} as const;

/** A row of a table that a credential may carry: never `default`, and never the MAC `none`. */
function credentialType<T extends Cipher | Mac | Zip>(
  table: readonly T[],
  number: number,
  code: keyof typeof TYPE_WORDS,
): T {
  const type = table[number];
  if (
    type === undefined || type.name === "default" || (code === "EMUNGE_BAD_MAC" && number === 0)
  ) {
    throw new MungeError(code, `Invalid ${TYPE_WORDS[code]} type ${number}`);
  }
  return type;
}

function requireKeyFrom(mac: Mac, cipher: Cipher): void {
  if (mac.length < cipher.keyLength) {
    throw new MungeError(
      "EMUNGE_BAD_MAC",
      `Invalid MAC type ${mac.number} with cipher type ${cipher.number}`,
    );
  }
}

/** The contents of OUTER, and where it and the MAC end. */
export interface Outer extends CredentialTypes {
  readonly realm: string;
  /** Length of OUTER, including the IV. */
  readonly outerLength: number;
  /** The MAC carried by the credential. */
  readonly tag: Uint8Array;
}

function realmLength(realm: string): number {
  return realm.length === 0 ? 0 : realm.length + 1;
}

/** Length of OUTER with this cipher, including the IV. */
export function outerLength(cipher: Cipher, realm: string): number {
  return HEAD_LENGTH + realmLength(realm) + cipher.blockLength;
}

/** Writes OUTER to the beginning of `bytes`. */
export function writeOuter(
  bytes: Uint8Array,
  cipher: Cipher,
  mac: Mac,
  zip: Zip,
  realm: string,
  iv: Uint8Array,
): void {
  bytes[0] = VERSION;
  bytes[1] = cipher.number;
  bytes[2] = mac.number;
  bytes[3] = zip.number;
  bytes[4] = realmLength(realm);
  for (let i = 0; i < realm.length; i++) bytes[HEAD_LENGTH + i] = realm.charCodeAt(i);
  copyBytes(bytes, HEAD_LENGTH + realmLength(realm), iv, 0, cipher.blockLength);
}

/**
 * Reads OUTER and the MAC of a credential without its armor.
 *
 * @throws {MungeError} EMUNGE_BAD_CRED, EMUNGE_BAD_VERSION, EMUNGE_BAD_CIPHER, EMUNGE_BAD_MAC or
 * EMUNGE_BAD_ZIP if its bytes fail to parse.
 */
export function parseOuter(bytes: Uint8Array): Outer {
  const fields = new FieldReader(bytes, 0, truncated);
  const version = fields.u8("credential version");
  if (version !== VERSION) {
    throw new MungeError("EMUNGE_BAD_VERSION", `Invalid credential version ${version}`);
  }
  const cipher = credentialType(CIPHERS, fields.u8("cipher type"), "EMUNGE_BAD_CIPHER");
  const mac = credentialType(MACS, fields.u8("MAC type"), "EMUNGE_BAD_MAC");
  requireKeyFrom(mac, cipher);
  const zip = credentialType(ZIPS, fields.u8("compression type"), "EMUNGE_BAD_ZIP");
  const realm = fields.text(fields.u8("security realm length"), "security realm string");
  fields.skip(cipher.blockLength, "cipher IV");
  const outerLength = fields.at;
  const tag = fields.copy(mac.length, "MAC");
  return { cipher, mac, zip, realm, outerLength, tag };
}
