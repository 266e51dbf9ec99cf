// The realms and groups in force at a worker. The engine replaces them when files change (orders.ts).
import { type GroupMap, isGroupMember } from "../groups/map.ts";
import { type Realms, requireRealm } from "../keys/realms.ts";
import { subkeysIn } from "../keys/shared_subkeys.ts";
import type { ServedRealm } from "./context.ts";

/** One worker's realms and groups. */
export class ActiveConfig {
  #groups: GroupMap;
  #realms: Realms;
  #served: ReadonlyMap<string, ServedRealm>;

  constructor({ groups, realms }: { readonly groups: GroupMap; readonly realms: Realms }) {
    this.#groups = groups;
    this.#realms = realms;
    this.#served = openRealms(realms);
  }

  /** The realms, with their keys as the main thread sends them. */
  get realms(): Realms {
    return this.#realms;
  }

  set realms(realms: Realms) {
    this.#realms = realms;
    this.#served = openRealms(realms);
  }

  set groups(groups: GroupMap) {
    this.#groups = groups;
  }

  /** A realm that is served. Throws EMUNGE_BAD_REALM for an unknown one. */
  realmOf(name: string): ServedRealm {
    return requireRealm(this.#served, name);
  }

  /** Whether the user has this supplementary group. */
  isMember(uid: number, gid: number): boolean {
    return isGroupMember(this.#groups, uid, gid);
  }
}

function openRealms(realms: Realms): ReadonlyMap<string, ServedRealm> {
  return new Map(
    [...realms].map((
      [name, { ring, policy }],
    ) => [name, { ring: ring.map(({ secret }) => subkeysIn(secret)), policy }]),
  );
}
