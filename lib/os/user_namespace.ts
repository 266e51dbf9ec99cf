// User namespaces (user_namespaces(7)): a process in one sees the same overflow ID for all users or groups that are not
// mapped into it.
import { readFileSync } from "node:fs";

/** The IDs that stand for all unmapped ones; null if every ID is mapped, or the overflow ID itself is mapped. */
export interface OverflowIds {
  readonly uid: number | null;
  readonly gid: number | null;
}

/** The overflow IDs of this process's namespace. */
export function overflowIds(): OverflowIds {
  if (process.platform !== "linux") return { uid: null, gid: null };
  return { uid: overflowId("uid"), gid: overflowId("gid") };
}

function overflowId(kind: "uid" | "gid"): number | null {
  let map: string;
  let overflow: number;
  try {
    map = readFileSync(`/proc/self/${kind}_map`, "latin1");
    overflow = Number(readFileSync(`/proc/sys/kernel/overflow${kind}`, "latin1"));
  } catch {
    return null; // without /proc, or without namespaces
  }
  return unmappedOverflowId(map, overflow);
}

/** The overflow ID, unless a map covers it. @param map lines of first ID inside, first ID outside, length. */
export function unmappedOverflowId(map: string, overflow: number): number | null {
  const isMapped = map.trim().split("\n").some((line) => {
    const [inside = 0, , length = 0] = line.trim().split(/\s+/).map(Number);
    return overflow >= inside && overflow < inside + length;
  });
  return isMapped ? null : overflow;
}
