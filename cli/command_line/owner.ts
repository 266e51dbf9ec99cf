// Lets root work on another user's files as that user, so that new files belong to that user, and files that are read pass
// that user's checks.
import { statSync } from "node:fs";
import { setEffectiveGroup, setEffectiveUser } from "../../lib/os/identity.ts";

/** Switches to the owner of a file or directory, if root runs this and the owner is another user. */
export function becomeOwnerOf(path: string): void {
  if (process.geteuid!() !== 0) return;
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined || stats.uid === 0) return;
  setEffectiveGroup(stats.gid);
  setEffectiveUser(stats.uid);
}
