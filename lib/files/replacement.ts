// Replaces files atomically: everything is written to a new file, which is then renamed over the old one. Where the system
// supports it, the new file has no name until it is complete, so that an interruption leaves nothing behind.
import type { Stats } from "node:fs";
import { fs, paths } from "../os/file_system.ts";
import { writeWhole } from "../os/standard_streams.ts";
import { nameFile, openUnnamed } from "../os/unnamed_file.ts";
import { syncDirectory } from "./directory_sync.ts";

/** A new file that will replace another one. */
export interface Replacement {
  readonly fd: number;
  readonly target: string;
  /** Its temporary name beside the target; an unnamed file gets it only once it is complete. */
  readonly temporary: string;
  readonly hasName: boolean;
}

/**
 * Creates the replacement for `target`, which no other user can have created.
 *
 * @param unnamed the unnamed file to use, or null for a file with a name from the start.
 * @throws the system's error.
 */
export function createReplacement(
  target: string,
  mode: number,
  unnamed: number | null = openUnnamed(paths().dirname(target), mode),
): Replacement {
  const temporary = `${target}.${process.pid}.tmp`;
  const fd = unnamed ?? openTemporary(temporary, mode);
  return { fd, target, temporary, hasName: unnamed === null };
}

function openTemporary(temporary: string, mode: number): number {
  removeName(temporary); // of an earlier process with our PID
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = fs().constants;
  return fs().openSync(temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
}

/** Unlinks a name that may be missing. rmSync() would report any other failure as "Bad address". */
export function removeName(path: string): void {
  try {
    fs().unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** Unlinks what a failed attempt may have left behind. The caller reports that attempt, whether or not this works. */
export function removeRemains(path: string): void {
  try {
    fs().unlinkSync(path);
  } catch {
    // It is missing, or the file system is read-only.
  }
}

/**
 * Refuses to replace or remove a device, which must have been named by mistake: without `/dev/null`, little works on a host.
 * Only root can create devices, so no other user can obstruct us with one.
 *
 * @throws {Error} with a text for the user.
 */
export function refuseDevice(path: string): void {
  refuseDeviceIn(statusOf(path));
}

/** Refuses devices, FIFOs and sockets. The system itself refuses directories. */
export function refuseSpecialFile(path: string): void {
  const status = statusOf(path);
  refuseDeviceIn(status);
  if (status?.isFIFO() || status?.isSocket()) throw new Error("It is not a regular file");
}

function refuseDeviceIn(status: Stats | undefined): void {
  if (status?.isCharacterDevice() || status?.isBlockDevice()) throw new Error("It is a device");
}

/** What there is at `path`; undefined if that can't be seen, in which case the caller can't remove it either. */
function statusOf(path: string): Stats | undefined {
  try {
    return fs().lstatSync(path);
  } catch {
    return undefined;
  }
}

/** How a complete replacement takes its place. */
export interface Placing {
  /** Refuses, with EEXIST, to replace an existing file. */
  readonly isNew?: boolean;
  /** Syncs the file to disk, then its name. */
  readonly isDurable?: boolean;
}

/** Puts a complete replacement in its place. @throws the system's error; the file is then unchanged. */
export function commitReplacement(
  replacement: Replacement,
  { isNew = false, isDurable = false }: Placing = {},
): void {
  const { fd, target, temporary } = replacement;
  try {
    if (isDurable) fs().fsyncSync(fd);
    const name = isNew ? target : temporary;
    if (!replacement.hasName) giveName(replacement, name);
    else if (isNew) fs().linkSync(temporary, target);
    if (!isNew) fs().renameSync(temporary, target);
    else if (replacement.hasName) fs().unlinkSync(temporary);
    if (isDurable) syncDirectory(paths().dirname(target));
  } catch (error) {
    if (replacement.hasName || !isNew) removeName(temporary);
    throw error;
  } finally {
    fs().closeSync(fd);
  }
}

function giveName({ fd, temporary }: Replacement, name: string): void {
  if (name === temporary) removeName(temporary);
  try {
    nameFile(fd, name);
  } catch (error) {
    if (fs().existsSync("/proc/self/fd")) throw error;
    copyTo(fd, name);
  }
}

/** Creates a named copy of an unnamed file, for systems without /proc. */
function copyTo(fd: number, name: string): void {
  const { mode, size, uid, gid } = fs().fstatSync(fd);
  const bytes = new Uint8Array(size);
  fs().readSync(fd, bytes, 0, size, 0);
  const copy = fs().openSync(name, "wx", 0o600);
  try {
    fs().fchownSync(copy, uid, gid);
    fs().fchmodSync(copy, mode & 0o7777);
    writeWhole(copy, bytes);
  } finally {
    fs().closeSync(copy);
    bytes.fill(0);
  }
}

/** Discards a replacement; the file stays as it was. */
export function abandonReplacement({ fd, temporary, hasName }: Replacement): void {
  fs().closeSync(fd);
  if (hasName) removeName(temporary);
}

/**
 * Puts a file with these bytes at `target`, or leaves everything as it was.
 *
 * @param placing `mode` is the file's, regardless of the umask.
 * @throws the system's error, or one that says what `target` is if not a regular file.
 */
export function replaceFile(
  target: string,
  bytes: Uint8Array,
  placing: Placing & { readonly mode: number },
): void {
  refuseSpecialFile(target);
  const replacement = createReplacement(target, placing.mode);
  try {
    fs().fchmodSync(replacement.fd, placing.mode);
    writeWhole(replacement.fd, bytes);
  } catch (error) {
    abandonReplacement(replacement);
    throw error;
  }
  commitReplacement(replacement, placing);
}
