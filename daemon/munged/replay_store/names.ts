// Names and lifetimes of entries in the store. An entry reveals nothing about the credential but which key made it.

/** The prefix of all our names, for the store's access rules. */
export const PREFIX = "munge:";

/** Seconds for which an entry outlives its credential, as in the local replay cache, because clocks are not exact. */
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
 * Milliseconds for which the store must remember a credential.
 *
 * @param expiry and `now` in seconds since the epoch.
 * @param drift seconds by which clocks may differ.
 */
export function entryLifetime(expiry: number, now: number, drift: number): number {
  return (Math.max(expiry - now, 0) + drift + GRACE_SECONDS) * 1000;
}

/** Name of the entry with the time at which a server's records begin, in one of its terms as a master. */
export function sinceName(runId: string, replicationId: string, tag: string): string {
  return `${PREFIX}since:${runId}:${replicationId}${tag}`;
}
