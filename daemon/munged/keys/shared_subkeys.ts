// Keeps the subkeys of each key in force in memory for secrets that all threads share; also computes the key's fingerprint.
import type { Subkeys } from "../../../lib/credential/subkeys.ts";
import { wipeSubkeys } from "../../../lib/credential/subkeys.ts";
import { keyFingerprint } from "../../../lib/keys/ring.ts";
import type { SystemError } from "../../../lib/os/libc.ts";
import {
  newSecret,
  secretAt,
  type SharedSecret,
  shareSecret,
} from "../../../lib/os/secret_memory.ts";

/** The length of each of the two subkeys, which are stored one behind the other. */
const SUBKEY_LENGTH = 20;

/** Moves subkeys to memory for secrets; wipes `subkeys`. */
export function shareSubkeys(subkeys: Subkeys, warn: (reason: SystemError) => void): SharedSecret {
  const bytes = newSecret(2 * SUBKEY_LENGTH, warn);
  bytes.set(subkeys.dek);
  bytes.set(subkeys.mac, SUBKEY_LENGTH);
  wipeSubkeys(subkeys);
  return shareSecret(bytes);
}

/** The subkeys in such memory, for any thread. */
export function subkeysIn(secret: SharedSecret): Subkeys {
  const bytes = secretAt(secret);
  return { dek: bytes.subarray(0, SUBKEY_LENGTH), mac: bytes.subarray(SUBKEY_LENGTH) };
}

const fingerprints = new WeakMap<SharedSecret, string>();

/** The fingerprint of a key in force, which takes a millisecond to compute the first time. */
export function fingerprintOf({ secret }: { readonly secret: SharedSecret }): string {
  const known = fingerprints.get(secret);
  if (known !== undefined) return known;
  const fingerprint = keyFingerprint(subkeysIn(secret));
  fingerprints.set(secret, fingerprint);
  return fingerprint;
}
