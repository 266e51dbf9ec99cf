// The contents of a credential in the library's terms: names for numbers, Date for seconds, text for addresses.
import type { CipherName } from "../credential/cipher.ts";
import type { CredentialFields } from "../credential/fields.ts";
import type { MacName } from "../credential/mac.ts";
import type { ZipName } from "../credential/zip.ts";
import { ANY_ID } from "../protocol/message.ts";
import { ciphers, macs, zips } from "./enumerations.ts";

/**
 * The contents of a credential.
 *
 * @typeParam Payload bytes, or a string if requested.
 */
export interface Credential<Payload extends Uint8Array | string = Uint8Array> {
  /** The payload; empty if there was none. */
  readonly payload: Payload;
  /** UID of the process that made the credential, as reported by its kernel. */
  readonly uid: number;
  /** GID of the process that made the credential, as reported by its kernel. */
  readonly gid: number;
  /** Its cipher, never `"default"`. */
  readonly cipher: CipherName;
  /** Its message authentication code, never `"default"`. */
  readonly mac: MacName;
  /** Its compression; `"none"` if that would not have made it shorter. */
  readonly zip: ZipName;
  /** Security realm; empty for the default one. */
  readonly realm: string;
  /** Seconds for which it is valid, before and after `encodeTime`. */
  readonly ttl: number;
  /** IPv4 address of the host where it was made, such as `"192.0.2.1"`; `"0.0.0.0"` if that host had none. */
  readonly originAddress: string;
  /** When it was made, in whole seconds. */
  readonly encodeTime: Date;
  /** The only UID that may decode it; undefined for any. */
  readonly uidRestriction: number | undefined;
  /** The only GID whose members may decode it; undefined for any. */
  readonly gidRestriction: number | undefined;
}

/** Why a credential made with the key is refused. */
export type RejectionCode =
  | "EMUNGE_CRED_EXPIRED"
  | "EMUNGE_CRED_REWOUND"
  | "EMUNGE_CRED_REPLAYED";

const REJECTION_CODES: ReadonlySet<string> = new Set<RejectionCode>([
  "EMUNGE_CRED_EXPIRED",
  "EMUNGE_CRED_REWOUND",
  "EMUNGE_CRED_REPLAYED",
]);

/** Whether munged returns the credential's contents along with this error. */
export function isRejection(code: string): code is RejectionCode {
  return REJECTION_CODES.has(code);
}

/**
 * munged's report on a credential made with its key.
 *
 * @typeParam Payload bytes, or a string if requested.
 */
export interface DecodedCredential<Payload extends Uint8Array | string = Uint8Array>
  extends Credential<Payload> {
  /**
   * `"EMUNGE_SUCCESS"`, or the error code of a credential that is accepted by an `ignore...` option or attached to an
   * error.
   */
  readonly status: "EMUNGE_SUCCESS" | RejectionCode;
  /** When munged decoded it, in whole seconds. */
  readonly decodeTime: Date;
}

/** The credential with these fields, in its own memory. */
export function credentialOf(fields: CredentialFields): Credential {
  return {
    payload: fields.payload.slice(),
    uid: fields.uid,
    gid: fields.gid,
    cipher: ciphers.toName(fields.cipher) ?? "none",
    mac: macs.toName(fields.mac) ?? "none",
    zip: zips.toName(fields.zip) ?? "none",
    realm: fields.realm.split("\0", 1)[0]!, // MUNGE 0.5 terminates it twice in its decode responses
    ttl: fields.ttl,
    originAddress: fields.originAddress.length === 0 ? "0.0.0.0" : fields.originAddress.join("."),
    encodeTime: dateOf(fields.encodeTime),
    uidRestriction: restrictionOf(fields.uidRestriction),
    gidRestriction: restrictionOf(fields.gidRestriction),
  };
}

/** The date for seconds since the epoch. */
export function dateOf(seconds: number): Date {
  return new Date(seconds * 1000);
}

function restrictionOf(id: number): number | undefined {
  return id === ANY_ID ? undefined : id;
}
