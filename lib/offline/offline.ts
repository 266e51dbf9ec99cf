// The library's sealCredential() and openCredential(): the pure functions of lib/credential, given the key itself, a
// clock and randomness. munged is not involved, so nothing vouches for what these credentials claim.
import { randomFillSync } from "node:crypto";
import {
  bytesOf,
  cipherNumber,
  macNumber,
  restrictionNumber,
  unsigned,
  zipNumber,
} from "../client/arguments.ts";
import { CIPHER_DEFAULT, type CipherName, DEFAULT_CIPHER } from "../credential/cipher.ts";
import { armor, unarmor } from "../credential/armor.ts";
import { LARGEST_PAYLOAD_LENGTH, SALT_LENGTH } from "../credential/fields.ts";
import { openBytes } from "../credential/open.ts";
import { sealBytes } from "../credential/seal.ts";
import { primitives } from "../primitives/library.ts";
import { type Credential, credentialOf } from "../client/decoded_credential.ts";
import { parseAddress } from "../bytes/host_address.ts";
import { MungeError } from "../errors.ts";
import { deriveSubkeys, type Subkeys, wipeSubkeys } from "../credential/subkeys.ts";
import { DEFAULT_MAC, MAC_DEFAULT, type MacName } from "../credential/mac.ts";
import { checkedRealm } from "../credential/realm.ts";
import { DEFAULT_ZIP, ZIP_DEFAULT, type ZipName } from "../credential/zip.ts";

export type { Credential };
export { MungeError } from "../client/errors.ts";
export type { MungeErrorCode } from "../errors.ts";

const MAX_IV_LENGTH = 16;
const DEFAULT_TTL = 300;

/** What {@linkcode sealCredential} writes into a credential: unverified claims. */
export interface SealOptions {
  /** The UID that the credential claims. */
  readonly uid: number;
  /** The GID that the credential claims. */
  readonly gid: number;
  /** The payload: bytes, or a string, which is encoded as UTF-8; empty unless given. */
  readonly payload?: string | Uint8Array | undefined;
  /** Cipher by its name or number; `"default"` unless given. */
  readonly cipher?: CipherName | number | undefined;
  /** Message authentication code by its name or number; `"default"` unless given. */
  readonly mac?: MacName | number | undefined;
  /** Compression by its name or number; `"default"`, which is none, unless given. */
  readonly zip?: ZipName | number | undefined;
  /** Security realm: at most 254 characters up to U+00FF; the default realm unless given. */
  readonly realm?: string | undefined;
  /** Time-to-live in seconds; may be 0; 300 unless given. */
  readonly ttl?: number | undefined;
  /** IPv4 address of the host it claims to come from; `"0.0.0.0"` unless given. */
  readonly originAddress?: string | undefined;
  /** When it claims to have been made, rounded down to a second; now unless given. */
  readonly encodeTime?: Date | undefined;
  /** The only UID that may decode it; any UID unless given. */
  readonly uidRestriction?: number | undefined;
  /** The only GID whose members may decode it; any GID unless given. */
  readonly gidRestriction?: number | undefined;
  /** 8 bytes of salt, for test vectors; random unless given. */
  readonly salt?: Uint8Array | undefined;
  /** 16 bytes for the IV, of which the cipher uses one block length; for test vectors; random unless given. */
  readonly iv?: Uint8Array | undefined;
}

/**
 * Makes a credential without munged.
 *
 * **Danger:** anyone with the key can impersonate any user. Use this for tests, tooling and forensics. A program
 * that wants to prove who it is calls {@linkcode encode}, and should not be able to read munged's key.
 *
 * @param fields the contents of the credential.
 * @param key all bytes of the key file, at least 32; wiping them is up to the caller.
 * @returns the credential: one line of printable ASCII.
 * @throws {MungeError} `EMUNGE_BAD_ARG`, `EMUNGE_BAD_CIPHER`, `EMUNGE_BAD_MAC` or `EMUNGE_BAD_ZIP` for a
 * field or key that is not valid, `EMUNGE_BAD_LENGTH` for a payload of more than 64 MiB, the maximum that any munged
 * accepts.
 *
 * @example
 * ```ts
 * import { openCredential, sealCredential } from "mungebox/offline";
 *
 * const key = new Uint8Array(32).fill(0x6b); // a test key, not a real one
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
  return withSubkeys(
    key,
    (subkeys) => armor(sealBytes(numbers, subkeys, random, primitives, LARGEST_PAYLOAD_LENGTH)),
  );
}

/**
 * Opens a credential without munged: verifies that it was made with the key, and reads it.
 *
 * **Danger:** this does not check time, restrictions or replay, so it proves nothing about who sent the credential.
 * Use it for tests, tooling and forensics; a service calls {@linkcode decode}.
 *
 * @param credential the credential; white space before it and anything after it are ignored.
 * @param key all bytes of the key file, at least 32; wiping them is up to the caller.
 * @returns the contents of the credential.
 * @throws {MungeError} `EMUNGE_CRED_INVALID` if it was altered or not made with the key; `EMUNGE_BAD_CRED`,
 * `EMUNGE_BAD_VERSION`, `EMUNGE_BAD_CIPHER`, `EMUNGE_BAD_MAC`, `EMUNGE_BAD_ZIP` or `EMUNGE_BAD_ARG` if it is
 * malformed; `EMUNGE_BAD_ARG` for a key that is too short.
 *
 * @example
 * ```ts
 * import { openCredential } from "mungebox/offline";
 *
 * const key = new Uint8Array(32).fill(0x6b);
 * try {
 *   await openCredential("MUNGE:AwQFAA==:", key);
 * } catch (error) {
 *   console.log((error as Error).message); // "Truncated security realm length"
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
    : new TextDecoder("latin1").decode(bytesOf(credential, "Credential"));
  return withSubkeys(
    key,
    (subkeys) =>
      credentialOf(openBytes(unarmor(text), [subkeys], primitives, LARGEST_PAYLOAD_LENGTH)),
  );
}

/** Calls a pure function with the key's subkeys, then wipes them. */
function withSubkeys<T>(key: Uint8Array, call: (subkeys: Subkeys) => T): T {
  const subkeys = deriveSubkeys(bytesOf(key, "Key"), primitives);
  try {
    return call(subkeys);
  } finally {
    wipeSubkeys(subkeys);
  }
}

function addressBytes(address: string): Uint8Array {
  const bytes = parseAddress(address);
  if (bytes?.length !== 4) {
    throw new MungeError("EMUNGE_BAD_ARG", `Invalid origin address "${address}"`);
  }
  return bytes;
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
