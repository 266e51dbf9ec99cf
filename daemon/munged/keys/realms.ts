// The realms munged serves: the keys of each, and who may use it. Plain data that can be posted to another thread;
// store.ts fills it.
import { MungeError } from "../../../lib/errors.ts";
import type { RingKey } from "../../../lib/keys/ring.ts";
import type { SharedSecret } from "../../../lib/os/secret_memory.ts";

/** Users and groups that may encode and decode in a realm; null for everyone. */
export type Allowed = { readonly uids: readonly number[]; readonly gids: readonly number[] } | null;

/** A key in force. */
export interface ServedKey extends Omit<RingKey, "subkeys"> {
  /** Its subkeys (shelter.ts). */
  readonly secret: SharedSecret;
}

/** One realm. */
export interface Realm {
  /** Its keys, the active one first. */
  readonly ring: readonly ServedKey[];
  readonly allowed: Allowed;
}

/** All realms by name; the default realm, which always exists, has the name "". */
export type Realms = ReadonlyMap<string, Realm>;

/** The default realm's name. */
export const DEFAULT_REALM = "";

/** What belongs to the realm of this name. @throws {MungeError} EMUNGE_BAD_REALM if there is none. */
export function requireRealm<T>(realms: ReadonlyMap<string, T>, name: string): T {
  const realm = realms.get(name);
  if (realm === undefined) throw new MungeError("EMUNGE_BAD_REALM");
  return realm;
}

/** Whether a client may use a realm. */
export function mayUseRealm(
  { allowed }: Realm,
  uid: number,
  gid: number,
  isMember: (uid: number, gid: number) => boolean,
): boolean {
  return allowed === null || allowed.uids.includes(uid) ||
    allowed.gids.some((allowedGid) => allowedGid === gid || isMember(uid, allowedGid));
}

/** A realm in messages: `realm "x"`, or `the default realm`. */
export function describeRealm(name: string): string {
  return name === DEFAULT_REALM ? "the default realm" : `realm "${name}"`;
}
