// The keys of one realm: the active key encodes and decodes, the staged and the retired key only decode. This file decides
// which keys are valid and in which order they are tried, and computes their fingerprints. daemon/munged/keys/ring_reader.ts
// reads the key files, and mungekey writes them.
import { isSameKey, type Subkeys, wipeSubkeys } from "../credential/subkeys.ts";

/** The roles of keys, in the order in which keys are tried. */
export const KEY_ROLES = ["active", "next", "old"] as const;

/** active encodes and decodes; next (staged) and old (retired) only decode. */
export type KeyRole = typeof KEY_ROLES[number];

/** Maximum number of keys in a ring, and therefore of attempts to open a foreign credential. */
const MAX_RING_LENGTH = 4;

/** A key found in a file. */
export interface FoundKey {
  readonly role: KeyRole;
  readonly subkeys: Subkeys;
  /** Seconds since the epoch: when the key was made or, for an old key, when it was retired. */
  readonly since: number;
}

/** A valid key. */
export interface RingKey extends FoundKey {
  /** Seconds since the epoch at which an old key expires; null for the others. */
  readonly expiry: number | null;
}

/** Path of the key with a role, beside the active key. */
export function keyPath(keyFile: string, role: KeyRole): string {
  return role === "active" ? keyFile : `${keyFile}.${role}`;
}

/** When a key retired at `since` expires; a retirement in the future counts as one now. */
export function retiredKeyExpiry(since: number, now: number, rotationTime: number): number {
  return Math.min(since, now) + rotationTime;
}

/**
 * The valid keys, the active one first. Wipes keys that have expired, and duplicates of earlier ones, which an interrupted
 * promotion leaves behind.
 *
 * @param now seconds since the epoch.
 * @param rotationTime seconds for which an old key still decodes.
 */
export function composeRing(
  found: readonly FoundKey[],
  now: number,
  rotationTime: number,
): RingKey[] {
  const ring: RingKey[] = [];
  for (const role of KEY_ROLES) {
    for (const key of found.filter((candidate) => candidate.role === role)) {
      const expiry = role === "old" ? retiredKeyExpiry(key.since, now, rotationTime) : null;
      const known = ring.some((other) => isSameKey(other.subkeys, key.subkeys));
      if (known || (expiry !== null && expiry <= now) || ring.length === MAX_RING_LENGTH) {
        wipeSubkeys(key.subkeys);
      } else {
        ring.push({ ...key, expiry });
      }
    }
  }
  return ring;
}

const FINGERPRINT_LABEL = "mungebox key fingerprint 1";
const FINGERPRINT_ITERATIONS = 2_000;
const FINGERPRINT_LENGTH = 8;

/**
 * The public name of a key: 16 hexadecimal digits.
 *
 * It is of no use in finding the key. An attacker can test guesses of the key against any credential for the price of a few
 * digests each; PBKDF2 (RFC 8018 section 5.2) makes testing a guess against a fingerprint hundreds of times more expensive,
 * and 8 bytes of its output do not determine a key.
 */
export function keyFingerprint({ dek, mac }: Subkeys): string {
  // Loaded only here: it takes 2 ms and a megabyte, and a munged with one key needs no fingerprint to start.
  const { pbkdf2Sync } = process.getBuiltinModule("node:crypto");
  const secret = new Uint8Array(dek.length + mac.length);
  secret.set(dek);
  secret.set(mac, dek.length);
  try {
    const digest = pbkdf2Sync(
      secret,
      FINGERPRINT_LABEL,
      FINGERPRINT_ITERATIONS,
      FINGERPRINT_LENGTH,
      "sha256",
    );
    return digest.toString("hex");
  } finally {
    secret.fill(0);
  }
}
