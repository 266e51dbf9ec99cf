// In which realms replays are refused on all hosts.
import type { RealmScope, ReplayScope, StorePolicy } from "../config.ts";

/** What a worker must know about the store. */
export interface RealmStoreRules {
  readonly policy: StorePolicy;
  /** The scopes that were set; all others are "realm". */
  readonly scopes: readonly RealmScope[];
}

/** The scope of a realm. */
export function scopeOf(scopes: readonly RealmScope[], realm: string): ReplayScope {
  const own = scopes.find((each) => each.realm === realm);
  return (own ?? scopes.find((each) => each.realm === null))?.scope ?? "realm";
}
