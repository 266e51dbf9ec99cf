// The map of supplementary groups: which user is a member of which groups.

/** Supplementary groups of all users who have any; plain data that can be posted to a thread. */
export interface GroupMap {
  /** UIDs, ascending. */
  readonly uids: Uint32Array;
  /** Index in `gids` where the groups of `uids[i]` begin, followed by the end of the last. */
  readonly offsets: Uint32Array;
  /** GIDs, ascending within each user. */
  readonly gids: Uint32Array;
}

/** The empty map. */
export const NO_GROUPS: GroupMap = {
  uids: new Uint32Array(0),
  offsets: new Uint32Array(1),
  gids: new Uint32Array(0),
};

/** Compact form of `groups`, which has GIDs by UID. */
export function packGroups(groups: ReadonlyMap<number, readonly number[]>): GroupMap {
  const uids = Uint32Array.from(groups.keys()).sort();
  const offsets = new Uint32Array(uids.length + 1);
  for (const [index, uid] of uids.entries()) {
    offsets[index + 1] = offsets[index]! + groups.get(uid)!.length;
  }
  const gids = new Uint32Array(offsets[uids.length]!);
  for (const [index, uid] of uids.entries()) {
    gids.set(Uint32Array.from(groups.get(uid)!).sort(), offsets[index]!);
  }
  return { uids, offsets, gids };
}

/** Whether a user is in a supplementary group. */
export function isGroupMember(
  { uids, offsets, gids }: GroupMap,
  uid: number,
  gid: number,
): boolean {
  const user = search(uids, uid, 0, uids.length);
  return user >= 0 && search(gids, gid, offsets[user]!, offsets[user + 1]!) >= 0;
}

/** Index of `value` in the ascending `values[from..to)`, or -1. */
function search(values: Uint32Array, value: number, from: number, to: number): number {
  while (from < to) {
    const middle = (from + to) >>> 1;
    const found = values[middle]!;
    if (found === value) return middle;
    if (found < value) from = middle + 1;
    else to = middle;
  }
  return -1;
}
