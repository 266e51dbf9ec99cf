// Root at work on files that are somebody else's: what is made then belongs to their owner, and what is read
// is checked as their owner checks it.
import { statSync } from "node:fs";
import { setEffectiveGroup, setEffectiveUser } from "../../lib/os/identity.ts";

/** Becomes the owner of a file or directory, if that is not root, and root is who runs this. */
export function becomeOwnerOf(path: string): void {
  if (process.geteuid!() !== 0) return;
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined || stats.uid === 0) return;
  setEffectiveGroup(stats.gid);
  setEffectiveUser(stats.uid);
}
