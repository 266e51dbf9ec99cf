// Root at work on files that are somebody else's.
import { statSync } from "node:fs";

/**
 * Becomes the owner of a file or directory, if that is not root, and root is who runs this. What is made then
 * belongs to munged's user, and what is read is checked as munged checks it.
 */
export function becomeOwnerOf(path: string): void {
  if (process.geteuid!() !== 0) return;
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined || stats.uid === 0) return;
  process.setegid!(stats.gid);
  process.seteuid!(stats.uid);
}
