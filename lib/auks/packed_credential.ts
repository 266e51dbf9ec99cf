// The format in which the daemon packs credentials into GET and DUMP replies: three dialects under one version string, all
// of which we read and write.
import { AuksError } from "./errors.ts";
import type { KrbCredSummary } from "./krb_cred_summary.ts";
import { MAX_KRB_CRED_LENGTH } from "./krb_cred.ts";
import { MAX_PRINCIPAL_LENGTH } from "./principal.ts";

/** Differences between the dialects. */
export const DIALECTS = {
  /** AUKS 0.4. */
  "0.4": { hasCrossrealm: false, maxLength: 2048 },
  /** AUKS 0.5.0 to 0.5.4. */
  "0.5": { hasCrossrealm: false, maxLength: 4096 },
  /** The development version after 0.5.4. */
  head: { hasCrossrealm: true, maxLength: MAX_KRB_CRED_LENGTH },
} as const;

/** Layout of a packed credential. */
export type Dialect = keyof typeof DIALECTS;

/** A credential as stored by AUKS. */
export interface PackedCredential extends KrbCredSummary {
  readonly uid: number;
  /** The KRB-CRED; a secret. */
  readonly krbCred: Uint8Array;
}

/** Size of the field with the principal and its NUL. */
const PRINCIPAL_FIELD = MAX_PRINCIPAL_LENGTH + 2;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const toUtf8 = new TextEncoder();

/**
 * The size of a packed credential in bytes.
 *
 * @param krbCredLength bytes of its KRB-CRED.
 * @param dialect the layout.
 * @param compact whether the KRB-CRED's field is only as long as its contents, instead of padded like the original's.
 * @returns the number of bytes.
 */
export function packedLength(krbCredLength: number, dialect: Dialect, compact: boolean): number {
  const { hasCrossrealm, maxLength } = DIALECTS[dialect];
  return 4 + PRINCIPAL_FIELD + 5 * 4 + (hasCrossrealm ? 4 : 0) + 2 * 4 +
    (compact ? krbCredLength : maxLength) + 4;
}

/**
 * Packs a credential. Fields that the original fills with leftover memory are zero.
 *
 * @param credential the credential.
 * @param dialect the layout.
 * @param compact whether to omit the padding after the KRB-CRED; versions before 0.5.3 can't read the result.
 * @param target buffer for it, all zeros; by default a new one.
 * @param at position in the target.
 * @returns the target.
 * @throws {AuksError} CRED_TOO_LARGE if this dialect's readers do not accept a KRB-CRED of that size;
 * CRED_PRINCIPAL_TOO_LONG.
 *
 * @example
 * ```ts
 * import { packCredential, unpackCredential } from "./lib/auks/packed_credential.ts";
 *
 * const packed = packCredential(
 *   {
 *     principal: "bob@REALM.A",
 *     uid: 2000,
 *     starttime: 1,
 *     endtime: 2,
 *     renewTill: 3,
 *     addressless: true,
 *     crossrealm: false,
 *     krbCred: new Uint8Array(700),
 *   },
 *   "0.5",
 *   true,
 * );
 * console.log(packed.length, unpackCredential(packed).credential.uid); // 865 2000
 * ```
 */
export function packCredential(
  credential: PackedCredential,
  dialect: Dialect,
  compact: boolean,
  target: Uint8Array = new Uint8Array(packedLength(credential.krbCred.length, dialect, compact)),
  at = 0,
): Uint8Array {
  const { hasCrossrealm, maxLength } = DIALECTS[dialect];
  const { krbCred } = credential;
  if (krbCred.length > maxLength) {
    throw new AuksError(
      "CRED_TOO_LARGE",
      `${krbCred.length} bytes, at most ${maxLength} in AUKS ${dialect}`,
    );
  }
  const name = toUtf8.encode(credential.principal);
  if (name.length > MAX_PRINCIPAL_LENGTH) throw new AuksError("CRED_PRINCIPAL_TOO_LONG");
  const view = new DataView(target.buffer, target.byteOffset);
  const u32 = (value: number) => {
    view.setUint32(at, value);
    at += 4;
  };
  u32(PRINCIPAL_FIELD);
  target.set(name, at);
  at += PRINCIPAL_FIELD;
  u32(credential.uid);
  u32(credential.starttime);
  u32(credential.endtime);
  u32(credential.renewTill);
  u32(credential.addressless ? 1 : 0);
  if (hasCrossrealm) u32(credential.crossrealm ? 1 : 0);
  u32(compact ? krbCred.length : maxLength);
  u32(krbCred.length);
  target.set(krbCred, at);
  return target;
}

/** An unpacked credential. */
export interface Unpacked {
  readonly credential: PackedCredential;
  /** Its layout; a compact 0.4 one is indistinguishable from 0.5 and counts as that. */
  readonly dialect: Dialect;
  /** Its size in bytes. */
  readonly length: number;
}

/**
 * Unpacks a credential of any dialect. The KRB-CRED is an unparsed view of the bytes.
 *
 * @param bytes the buffer; anything after the credential is ignored.
 * @param at its offset.
 * @returns the credential and how it was packed.
 * @throws {AuksError} API_REPLY_CORRUPTED if it is incomplete or inconsistent.
 */
export function unpackCredential(bytes: Uint8Array, at = 0): Unpacked {
  const start = at;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const take = (length: number) => {
    if (length > bytes.length - at) throw corrupted("it is cut off");
    return at += length;
  };
  const u32 = () => view.getUint32(take(4) - 4);
  const flag = (name: string) => {
    const value = u32();
    if (value > 1) throw corrupted(`${name} is ${value}`);
    return value === 1;
  };

  const fieldLength = u32();
  if (fieldLength !== PRINCIPAL_FIELD) {
    throw corrupted(`a principal's field of ${fieldLength} bytes`);
  }
  const field = bytes.subarray(at, take(fieldLength));
  const principal = readPrincipalField(field);
  const uid = u32();
  const starttime = u32();
  const endtime = u32();
  const renewTill = u32();
  const addressless = flag("addressless");
  // Here HEAD has a flag, and the others have the maximum length of a KRB-CRED, which is never 0 or 1.
  const next = u32();
  const hasCrossrealm = next <= 1;
  const maxLength = hasCrossrealm ? u32() : next;
  const length = u32();
  if (length > maxLength || length > MAX_KRB_CRED_LENGTH) {
    throw corrupted(`a KRB-CRED of ${length} bytes in ${maxLength}`);
  }
  const data = bytes.subarray(at, take(maxLength));
  // A status, which has only ever been seen as 0.
  u32();
  return {
    credential: {
      principal,
      uid,
      starttime,
      endtime,
      renewTill,
      addressless,
      crossrealm: hasCrossrealm && next === 1,
      krbCred: data.subarray(0, length),
    },
    dialect: hasCrossrealm ? "head" : maxLength === DIALECTS["0.4"].maxLength ? "0.4" : "0.5",
    length: at - start,
  };
}

/** The principal ends at its NUL; after that, the original sends leftover memory. */
function readPrincipalField(field: Uint8Array): string {
  const end = field.indexOf(0);
  if (end <= 0) throw corrupted(end === 0 ? "no principal" : "a principal without its NUL");
  try {
    return utf8.decode(field.subarray(0, end));
  } catch {
    throw corrupted("a principal that is not UTF-8");
  }
}

function corrupted(why: string): AuksError {
  return new AuksError("API_REPLY_CORRUPTED", `packed credential: ${why}`);
}
