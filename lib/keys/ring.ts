// The keys of one realm: the active one encodes, the staged and the retired one are accepted too. Here is
// which keys count, in which order, and what they are called; the files are daemon/munged/keys/store.ts's and
// mungekey's.
import { pbkdf2Sync } from "node:crypto";
import { type Subkeys, wipeSubkeys } from "../credential/subkeys.ts";

/** What a key is there for, in the order in which keys are tried. */
export const KEY_ROLES = ["active", "next", "old"] as const;

/** active encodes; next is staged, and old retired: both only decode. */
export type KeyRole = typeof KEY_ROLES[number];

/** Most keys in a ring, and so the most tries that a stranger's credential costs. */
const MAX_RING_LENGTH = 4;

/** A key that was found in a file. */
export interface FoundKey {
  readonly role: KeyRole;
  readonly subkeys: Subkeys;
  /** Seconds since the epoch: when the key was made, or, of an old one, when it was retired. */
  readonly since: number;
}

/** A key that counts. */
export interface RingKey extends FoundKey {
  readonly fingerprint: string;
  /** Seconds since the epoch from which an old key counts no more; null for the others. */
  readonly expiry: number | null;
}

/** Where the key of a role is, beside the active one. */
export function keyPath(keyFile: string, role: KeyRole): string {
  return role === "active" ? keyFile : `${keyFile}.${role}`;
}

/** When a key that was retired at `since` stops counting; a retirement in the future counts as one now. */
export function retiredKeyExpiry(since: number, now: number, rotationTime: number): number {
  return Math.min(since, now) + rotationTime;
}

/**
 * The keys that count, the active one first. One that has expired, and a copy of an earlier one, which a
 * promotion that was cut short leaves behind, are wiped.
 *
 * @param now seconds since the epoch.
 * @param rotationTime seconds that an old key still decodes.
 */
export function composeRing(
  found: readonly FoundKey[],
  now: number,
  rotationTime: number,
): RingKey[] {
  const ring: RingKey[] = [];
  for (const role of KEY_ROLES) {
    for (const key of found.filter((candidate) => candidate.role === role)) {
      const fingerprint = keyFingerprint(key.subkeys);
      const expiry = role === "old" ? retiredKeyExpiry(key.since, now, rotationTime) : null;
      const known = ring.some((other) => other.fingerprint === fingerprint);
      if (known || (expiry !== null && expiry <= now) || ring.length === MAX_RING_LENGTH) {
        wipeSubkeys(key.subkeys);
      } else {
        ring.push({ ...key, fingerprint, expiry });
      }
    }
  }
  return ring;
}

const FINGERPRINT_LABEL = "mungebox key fingerprint 1";
const FINGERPRINT_ITERATIONS = 2_000;
const FINGERPRINT_LENGTH = 8;

/**
 * What a key is called where people can see it: 16 hexadecimal digits.
 *
 * It never helps to find the key. Whoever guesses keys can test each guess on any credential for the
 * price of a few digests; PBKDF2 (RFC 8018 section 5.2) makes testing it on a fingerprint hundreds of
 * times dearer, and 8 bytes of its output don't determine a key.
 */
export function keyFingerprint({ dek, mac }: Subkeys): string {
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
