// What a credential says, in the library's terms: names for numbers, Date for seconds, text for addresses.
import type { CipherName } from "../credential/cipher.ts";
import type { CredentialFields } from "../credential/fields.ts";
import type { MacName } from "../credential/mac.ts";
import type { ZipName } from "../credential/zip.ts";
import { ANY_ID } from "../protocol/message.ts";
import { ciphers, macs, zips } from "./enumerations.ts";

/**
 * What a credential says.
 *
 * @typeParam Payload bytes, or a text where that was asked for.
 */
export interface Credential<Payload extends Uint8Array | string = Uint8Array> {
  /** The payload; empty if there was none. */
  readonly payload: Payload;
  /** UID of the process that made the credential, as its kernel told munged. */
  readonly uid: number;
  /** GID of the process that made the credential, as its kernel told munged. */
  readonly gid: number;
  /** Cipher that it was encrypted with, never `"default"`. */
  readonly cipher: CipherName;
  /** Message authentication code that it was signed with, never `"default"`. */
  readonly mac: MacName;
  /** Compression of the payload; `"none"` if that would not have made it shorter. */
  readonly zip: ZipName;
  /** Security realm; empty for the default one. */
  readonly realm: string;
  /** Seconds that it is valid for, before and after `encodeTime`. */
  readonly ttl: number;
  /** IPv4 address of the host that it was made on, `"192.0.2.1"`; `"0.0.0.0"` if that host had none. */
  readonly originAddress: string;
  /** When it was made, in whole seconds. */
  readonly encodeTime: Date;
  /** The only UID that may decode it; undefined if any may. */
  readonly uidRestriction: number | undefined;
  /** The only GID whose members may decode it; undefined if any may. */
  readonly gidRestriction: number | undefined;
}

/** Why a credential that was made with the key is not accepted. */
export type RejectionCode =
  | "EMUNGE_CRED_EXPIRED"
  | "EMUNGE_CRED_REWOUND"
  | "EMUNGE_CRED_REPLAYED";

const REJECTION_CODES: ReadonlySet<string> = new Set<RejectionCode>([
  "EMUNGE_CRED_EXPIRED",
  "EMUNGE_CRED_REWOUND",
  "EMUNGE_CRED_REPLAYED",
]);

/** Whether a code is that of an error with which munged still tells what the credential says. */
export function isRejection(code: string): code is RejectionCode {
  return REJECTION_CODES.has(code);
}

/**
 * What munged says of a credential that was made with its key.
 *
 * @typeParam Payload bytes, or a text where that was asked for.
 */
export interface DecodedCredential<Payload extends Uint8Array | string = Uint8Array>
  extends Credential<Payload> {
  /**
   * `"EMUNGE_SUCCESS"`, or the code of the error in a credential that is accepted with an `ignore...` option, or
   * comes with an error.
   */
  readonly status: "EMUNGE_SUCCESS" | RejectionCode;
  /** When munged decoded it, in whole seconds. */
  readonly decodeTime: Date;
}

/** The credential of these fields, in memory of its own. */
export function credentialOf(fields: CredentialFields): Credential {
  return {
    payload: fields.payload.slice(),
    uid: fields.uid,
    gid: fields.gid,
    cipher: ciphers.toName(fields.cipher) ?? "none",
    mac: macs.toName(fields.mac) ?? "none",
    zip: zips.toName(fields.zip) ?? "none",
    realm: fields.realm.split("\0", 1)[0]!, // MUNGE 0.5 ends it twice in its decode responses
    ttl: fields.ttl,
    originAddress: fields.originAddress.length === 0 ? "0.0.0.0" : fields.originAddress.join("."),
    encodeTime: dateOf(fields.encodeTime),
    uidRestriction: restrictionOf(fields.uidRestriction),
    gidRestriction: restrictionOf(fields.gidRestriction),
  };
}

/** The moment that is this many seconds after the epoch. */
export function dateOf(seconds: number): Date {
  return new Date(seconds * 1000);
}

function restrictionOf(id: number): number | undefined {
  return id === ANY_ID ? undefined : id;
}
