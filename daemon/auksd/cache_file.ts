// One user's file in CacheDir: its name, and how it is replaced in one step.
import { closeSync, constants, openSync, renameSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";

const MODE = 0o600;

/** What the names of users' files begin with. */
export const PREFIX = "aukscc_";
/** Names of files that were not finished. */
export const UNFINISHED = /^\.aukscc_\d+\.new$/;

/** The name of a user's file. */
export function fileName(uid: number): string {
  return `${PREFIX}${uid}`;
}

/** The name under which it is written; the original's auksd reads none that begins with a dot. */
function unfinishedName(uid: number): string {
  return `.${fileName(uid)}.new`;
}

/** Writes a user's new file beside the old one; its descriptor. @throws {Error} the system's. */
export function openUnfinished(directory: string, uid: number, bytes: Uint8Array): number {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
  const path = join(directory, unfinishedName(uid));
  const fd = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, MODE);
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Puts the new file in the old one's place, or removes that, if it is there. @throws {Error} the system's. */
export function finishFile(directory: string, uid: number, isWritten: boolean): void {
  const path = join(directory, fileName(uid));
  if (isWritten) {
    renameSync(join(directory, unfinishedName(uid)), path);
    return;
  }
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
