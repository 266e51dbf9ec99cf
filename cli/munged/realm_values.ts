// Values that begin with a realm's name, and lists of users and groups, as several options take them.
import { isRealmName } from "../../lib/credential/realm.ts";
import { parseGroup, parseUser } from "../command_line/values.ts";
import { invalid } from "./vocabulary.ts";

/** `NAME=REST` of a realm. */
export function splitRealm(option: string, value: string): [name: string, rest: string] {
  const at = value.indexOf("=");
  const name = value.slice(0, Math.max(at, 0));
  if (!isRealmName(name) || at === value.length - 1) throw invalid(option, value);
  return [name, value.slice(at + 1)];
}

/** `user:U,group:G,...` with names or numbers. */
export function parseWho(
  option: string,
  value: string,
  who: string,
): { uids: number[]; gids: number[] } {
  const uids: number[] = [];
  const gids: number[] = [];
  for (const word of who.split(",")) {
    const [, kind, name = ""] = /^(user|group):(.+)$/.exec(word) ?? [];
    try {
      if (kind === "user") uids.push(parseUser(name));
      else if (kind === "group") gids.push(parseGroup(name));
      else throw new Error(`"${word}" begins with neither user: nor group:`);
    } catch (error) {
      throw invalid(option, value, error);
    }
  }
  return { uids, gids };
}

/** The list that {@linkcode parseWho} reads, in numbers. */
export function formatWho(
  { uids, gids }: { readonly uids: readonly number[]; readonly gids: readonly number[] },
): string {
  return [...uids.map((uid) => `user:${uid}`), ...gids.map((gid) => `group:${gid}`)].join(",");
}
