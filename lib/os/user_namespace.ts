// Whose UIDs and GIDs a process in a user namespace (user_namespaces(7)) can tell apart: to it, everyone who is
// not mapped into the namespace has the same overflow ID.
import { readFileSync } from "node:fs";

/** The IDs that stand for all unmapped ones; null where every ID is mapped, or that ID is one of those. */
export interface OverflowIds {
  readonly uid: number | null;
  readonly gid: number | null;
}

/** The IDs that tell this process nothing. */
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

/** As {@linkcode overflowIds}, for the contents of a map: lines of first ID inside, first ID outside, length. */
export function unmappedOverflowId(map: string, overflow: number): number | null {
  const isMapped = map.trim().split("\n").some((line) => {
    const [inside = 0, , length = 0] = line.trim().split(/\s+/).map(Number);
    return overflow >= inside && overflow < inside + length;
  });
  return isMapped ? null : overflow;
}
