// sealCredential() and openCredential() of the library: the pure functions of credential.ts with the key
// itself, the clock and the randomness filled in. No munged has a part in this, so nothing is vouched for.
import { randomFillSync } from "node:crypto";
import { isIPv4 } from "node:net";
import {
  bytesOf,
  cipherNumber,
  macNumber,
  restrictionNumber,
  unsigned,
  zipNumber,
} from "../client/arguments.ts";
import { CIPHER_DEFAULT, type CipherName, DEFAULT_CIPHER } from "../credential/cipher.ts";
import {
  openCredential as open,
  SALT_LENGTH,
  sealCredential as seal,
} from "../credential/credential.ts";
import { crypto } from "../crypto/library.ts";
import { type Credential, credentialOf } from "../client/decoded_credential.ts";
import { MungeError } from "../errors.ts";
import { deriveSubkeys, type Subkeys, wipeSubkeys } from "../credential/subkeys.ts";
import { DEFAULT_MAC, MAC_DEFAULT, type MacName } from "../credential/mac.ts";
import { checkedRealm } from "../credential/realm.ts";
import { DEFAULT_ZIP, ZIP_DEFAULT, type ZipName } from "../credential/zip.ts";

const MAX_IV_LENGTH = 16;
const DEFAULT_TTL = 300;

/** What {@linkcode sealCredential} writes into a credential: claims that nobody checks. */
export interface SealOptions {
  /** The UID that the credential is to tell. */
  readonly uid: number;
  /** The GID that the credential is to tell. */
  readonly gid: number;
  /** What to carry: bytes, or a text, which goes as UTF-8; nothing unless given. */
  readonly payload?: string | Uint8Array | undefined;
  /** Cipher by its name or number; `"default"` unless given. */
  readonly cipher?: CipherName | number | undefined;
  /** Message authentication code by its name or number; `"default"` unless given. */
  readonly mac?: MacName | number | undefined;
  /** Compression by its name or number; `"default"`, which is none, unless given. */
  readonly zip?: ZipName | number | undefined;
  /** Security realm: at most 254 characters up to U+00FF; the default realm unless given. */
  readonly realm?: string | undefined;
  /** Seconds that the credential is valid for, 0 included; 300 unless given. */
  readonly ttl?: number | undefined;
  /** IPv4 address of the host that it claims to come from; `"0.0.0.0"` unless given. */
  readonly originAddress?: string | undefined;
  /** When it claims to have been made; now unless given. Fractions of a second are cut off. */
  readonly encodeTime?: Date | undefined;
  /** The only UID that may decode; any may unless given. */
  readonly uidRestriction?: number | undefined;
  /** The only GID whose members may decode; any may unless given. */
  readonly gidRestriction?: number | undefined;
  /** 8 bytes of salt, for test vectors; random unless given. */
  readonly salt?: Uint8Array | undefined;
  /** 16 bytes, of which the cipher's block length is used as its IV, for test vectors; random unless given. */
  readonly iv?: Uint8Array | undefined;
}

/**
 * Makes a credential without munged.
 *
 * **Danger:** whoever holds the key can be anyone. This is for tests, tooling and forensics; a program
 * that wants to prove who it is calls {@linkcode encode}, and should not be able to read munged's key.
 *
 * @param fields what the credential is to say.
 * @param key all bytes of the key file, at least 32; they stay the caller's to wipe.
 * @returns the credential: one line of printable ASCII.
 * @throws {MungeError} `EMUNGE_BAD_ARG`, `EMUNGE_BAD_CIPHER`, `EMUNGE_BAD_MAC` or `EMUNGE_BAD_ZIP` for a
 * field or a key that is not valid, `EMUNGE_BAD_LENGTH` for a payload that is too long.
 *
 * @example
 * ```ts
 * import { openCredential, sealCredential } from "mungebox";
 *
 * const key = new Uint8Array(32).fill(0x6b); // of a test, not of a site
 * const credential = await sealCredential({ uid: 1000, gid: 100, payload: "hello" }, key);
 * console.log((await openCredential(credential, key)).uid); // 1000
 * ```
 */
// deno-lint-ignore require-await -- a promise, so that every error is a rejection
export async function sealCredential(fields: SealOptions, key: Uint8Array): Promise<string> {
  const cipher = cipherNumber(fields.cipher ?? "default");
  const mac = macNumber(fields.mac ?? "default");
  const zip = zipNumber(fields.zip ?? "default");
  const numbers = {
    cipher: cipher === CIPHER_DEFAULT ? DEFAULT_CIPHER.number : cipher,
    mac: mac === MAC_DEFAULT ? DEFAULT_MAC.number : mac,
    zip: zip === ZIP_DEFAULT ? DEFAULT_ZIP.number : zip,
    realm: checkedRealm(fields.realm ?? ""),
    originAddress: addressBytes(fields.originAddress ?? "0.0.0.0"),
    encodeTime: seconds(fields.encodeTime ?? new Date()),
    ttl: unsigned(fields.ttl ?? DEFAULT_TTL, "time-to-live"),
    uid: unsigned(fields.uid, "UID"),
    gid: unsigned(fields.gid, "GID"),
    uidRestriction: restrictionNumber(fields.uidRestriction, "UID"),
    gidRestriction: restrictionNumber(fields.gidRestriction, "GID"),
    payload: bytesOf(fields.payload ?? "", "Payload"),
  };
  const random = {
    salt: randomness(fields.salt, SALT_LENGTH, "salt"),
    iv: randomness(fields.iv, MAX_IV_LENGTH, "IV"),
  };
  return withSubkeys(key, (subkeys) => seal(numbers, subkeys, random, crypto));
}

/**
 * Opens a credential without munged: checks that it was made with the key, and reads it.
 *
 * **Danger:** time, restrictions and replay are not checked, so this tells nothing about who sent the
 * credential. It is for tests, tooling and forensics; a service calls {@linkcode decode}.
 *
 * @param credential the credential; white space in front of it and whatever is behind it are ignored.
 * @param key all bytes of the key file, at least 32; they stay the caller's to wipe.
 * @returns what the credential says.
 * @throws {MungeError} `EMUNGE_CRED_INVALID` for one that was not made with the key, or was changed;
 * `EMUNGE_BAD_CRED`, `EMUNGE_BAD_VERSION`, `EMUNGE_BAD_CIPHER`, `EMUNGE_BAD_MAC`, `EMUNGE_BAD_ZIP` or
 * `EMUNGE_BAD_ARG` for what is no credential; `EMUNGE_BAD_ARG` for a key that is too short.
 *
 * @example
 * ```ts
 * import { MungeError, openCredential } from "mungebox";
 *
 * const key = new Uint8Array(32).fill(0x6b);
 * try {
 *   await openCredential("MUNGE:AwQFAA==:", key);
 * } catch (error) {
 *   console.log((error as MungeError).message); // "Truncated security realm length"
 * }
 * ```
 */
// deno-lint-ignore require-await -- a promise, so that every error is a rejection
export async function openCredential(
  credential: string | Uint8Array,
  key: Uint8Array,
): Promise<Credential> {
  const text = typeof credential === "string"
    ? credential
    : latin1(bytesOf(credential, "Credential"));
  return withSubkeys(
    key,
    (subkeys) => credentialOf(open(text, () => [subkeys], crypto)),
  );
}

/** Calls a pure function with the key's subkeys, which are wiped after it. */
function withSubkeys<T>(key: Uint8Array, call: (subkeys: Subkeys) => T): T {
  const subkeys = deriveSubkeys(bytesOf(key, "Key"), crypto);
  try {
    return call(subkeys);
  } finally {
    wipeSubkeys(subkeys);
  }
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function addressBytes(address: string): Uint8Array {
  if (!isIPv4(address)) {
    throw new MungeError("EMUNGE_BAD_ARG", `Invalid origin address "${address}"`);
  }
  return Uint8Array.from(address.split("."), Number);
}

function seconds(time: Date): number {
  return unsigned(Math.floor(time.getTime() / 1000), "encode time");
}

function randomness(given: Uint8Array | undefined, length: number, what: string): Uint8Array {
  if (given === undefined) return randomFillSync(new Uint8Array(length));
  if (given.length !== length) {
    throw new MungeError("EMUNGE_BAD_ARG", `Invalid length ${given.length} of ${what}`);
  }
  return given;
}
