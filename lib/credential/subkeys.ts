// Derives from the bytes of a key file the two subkeys that make and check credentials, and from them the key that
// encrypts one credential (docs/protocol.md, "The credential").
import { MungeError } from "../errors.ts";
import type { Cipher } from "./cipher.ts";
import type { Mac } from "./mac.ts";
import type { Cryptography } from "./primitives.ts";

/** Minimum length of a key in bytes. */
export const MIN_KEY_LENGTH = 32;
/** Far above mungekey's maximum of 1024 bytes; a longer file is a mistake, not a key. */
export const MAX_KEY_LENGTH: number = 1 << 20;

/** The two secrets derived from a key. */
export interface Subkeys {
  /** Makes each credential's data encryption key: 20 bytes. */
  readonly dek: Uint8Array;
  /** Authenticates credentials: 20 bytes. */
  readonly mac: Uint8Array;
}

/**
 * Derives the subkeys of a key.
 *
 * @param key all bytes of the key file, at least {@linkcode MIN_KEY_LENGTH}; the caller wipes them.
 * @param labelled memory for one byte more than the key, which is wiped.
 * @throws {MungeError} EMUNGE_BAD_ARG if the key is too short.
 */
export function deriveSubkeys(
  key: Uint8Array,
  { sha1 }: Pick<Cryptography, "sha1">,
  labelled: Uint8Array = new Uint8Array(key.length + 1),
): Subkeys {
  if (key.length < MIN_KEY_LENGTH) {
    throw new MungeError("EMUNGE_BAD_ARG", `Key must be at least ${MIN_KEY_LENGTH} bytes`);
  }
  labelled.set(key);
  try {
    labelled[key.length] = 0x31; // "1"
    const dek = sha1(labelled);
    labelled[key.length] = 0x32; // "2"
    return { dek, mac: sha1(labelled) };
  } finally {
    labelled.fill(0);
  }
}

/** The data encryption key: HMAC of the MAC, truncated to the cipher's key length; the caller wipes it. */
export function dataKey(
  cipher: Cipher,
  mac: Mac,
  subkeys: Subkeys,
  tag: Uint8Array,
  { hmac }: Pick<Cryptography, "hmac">,
): Uint8Array {
  const whole = hmac(mac, subkeys.dek, tag);
  const key = new Uint8Array(cipher.keyLength);
  for (let i = 0; i < key.length; i++) key[i] = whole[i]!;
  wipe(whole);
  return key;
}

/** Whether both were derived from the same key. Not in constant time, so never for anything that a client sends. */
export function isSameKey(one: Subkeys, other: Subkeys): boolean {
  return one.dek.every((byte, i) => byte === other.dek[i]) &&
    one.mac.every((byte, i) => byte === other.mac[i]);
}

/** Overwrites a secret. A loop, because a Buffer's fill() takes longer than everything else done with a short key. */
export function wipe(secret: Uint8Array): void {
  for (let i = 0; i < secret.length; i++) secret[i] = 0;
}

/** Overwrites subkeys that are no longer in force. */
export function wipeSubkeys(subkeys: Subkeys): void {
  wipe(subkeys.dek);
  wipe(subkeys.mac);
}
