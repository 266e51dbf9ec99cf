// Names and lifetimes of entries in the store. An entry tells nothing about the credential but which key made it.

/** What all our names begin with, for the store's access rules. */
export const PREFIX = "munge:";

/** Seconds for which an entry outlives its credential, as in the local replay cache: clocks are not exact. */
const GRACE_SECONDS = 120;

/**
 * The name of a credential.
 *
 * @param fingerprint of the key that made it.
 * @param replayKey the first bytes of its MAC.
 */
export function credentialName(fingerprint: string, replayKey: Uint8Array): string {
  return `${PREFIX}${fingerprint}:${Buffer.from(replayKey).toString("base64url")}`;
}

/**
 * Milliseconds for which the store has to know a credential.
 *
 * @param expiry and `now` in seconds since the epoch.
 * @param drift seconds by which clocks may differ.
 */
export function entryLifetime(expiry: number, now: number, drift: number): number {
  return (Math.max(expiry - now, 0) + drift + GRACE_SECONDS) * 1000;
}

/** Name of the time of which a server knows, in one of its lives as a master. */
export function sinceName(runId: string, replicationId: string, tag: string): string {
  return `${PREFIX}since:${runId}:${replicationId}${tag}`;
}
