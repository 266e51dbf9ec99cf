// The realms munged serves: the keys of each, and what it permits. Plain data that can be posted to another thread;
// store.ts fills it.
import { MungeError } from "../../../lib/errors.ts";
import type { RingKey } from "../../../lib/keys/ring.ts";
import type { RealmPolicy } from "../policy/policy.ts";
import type { SharedSecret } from "../../../lib/os/secret_memory.ts";
import { fingerprintOf } from "./shared_subkeys.ts";

/** A key in force. */
export interface ServedKey extends Omit<RingKey, "subkeys"> {
  /** Its subkeys (shared_subkeys.ts). */
  readonly secret: SharedSecret;
}

/** One realm. */
export interface Realm {
  /** Its keys, the active one first. */
  readonly ring: readonly ServedKey[];
  readonly policy: RealmPolicy;
}

/** All realms by name; the default realm, which always exists, has the name "". */
export type Realms = ReadonlyMap<string, Realm>;

/** What belongs to the realm of this name. @throws {MungeError} EMUNGE_BAD_REALM if there is none. */
export function requireRealm<T>(realms: ReadonlyMap<string, T>, name: string): T {
  const realm = realms.get(name);
  if (realm === undefined) throw new MungeError("EMUNGE_BAD_REALM");
  return realm;
}

/** All realms of both arguments, each with its keys from both, the first argument's keys first. */
export function joinRealms(first: Realms, second: Realms): Realms {
  const joined = new Map<string, Realm>();
  for (const [name, realm] of [...second, ...first]) {
    const other = joined.get(name)?.ring ?? [];
    const known = new Set(realm.ring.map(fingerprintOf));
    const more = other.filter((key) => !known.has(fingerprintOf(key)));
    joined.set(name, { ...realm, ring: [...realm.ring, ...more] });
  }
  return joined;
}
