// Where munged's files are, and who may run a command that changes one. Root may if no other user could replace the file
// while it runs; munged's user may in that user's own directories; elsewhere, nobody may.
import { lstatSync, readdirSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { realPath } from "../../lib/os/real_path.ts";
import { advise, type Remedy, run } from "./finding.ts";

/** What a remedy needs to name. */
export interface Place {
  readonly socketPath: string;
  readonly keyFile: string;
  /** Name of the user munged runs as, or the UID if it has no name. */
  readonly user: string;
  /** The command that starts munged. */
  readonly start: string;
  /** The command that stops munged, if it is running, and starts it. */
  readonly restart: string;
  /** The owner of the directories above a path. */
  ownerOf(path: string): PathOwner;
  /** Whether a directory has only munged's files. */
  isOwnDirectory(path: string): boolean;
}

/** Who can replace a file: only root, munged's user as well, or others. */
export type PathOwner = "root" | "munged" | "others";

/** Quotes a word for the shell if it needs quoting. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Makes munged's user run a command, unless doctor already runs as that user. */
export function asUser(user: string, uid: number | undefined, command: string): string {
  return uid === undefined || uid === process.geteuid!()
    ? command
    : `sudo -u ${quote(user)} ${command}`;
}

/**
 * A command that follows symbolic links, such as chmod: root must not run it where munged's user could put a link to another
 * file.
 *
 * @param command takes the quoted path.
 * @param otherwise what to do if other users control the file.
 */
export function changeFile(
  place: Place,
  path: string,
  command: (path: string) => string,
  otherwise: string,
): Remedy {
  switch (place.ownerOf(path)) {
    case "root":
      return run(command(quote(path)));
    case "munged":
      return run(`sudo -u ${quote(place.user)} ${command(quote(path))}`);
    case "others":
      return advise(otherwise);
  }
}

/** Gives a file itself, not the target of a link, to a user. */
export function giveFile(place: Place, path: string, user: string): Remedy {
  return place.ownerOf(path) === "others"
    ? advise(`Move "${path}" to a directory that only root and ${place.user} can write to`)
    : run(`chown --no-dereference ${quote(user)} ${quote(path)}`);
}

/** A command on a directory, if it has only munged's files. */
export function changeDirectory(
  place: Place,
  path: string,
  command: (path: string) => string,
  otherwise: string,
): Remedy {
  return place.isOwnDirectory(path)
    ? changeFile(place, path, command, otherwise)
    : advise(otherwise);
}

/** {@linkcode Place.ownerOf} for a munged with this UID, from the current user's point of view. */
export function ownerOfPath(path: string, uid: number | undefined): PathOwner {
  let owner: PathOwner = "root";
  const us = process.geteuid!();
  for (const stats of directoriesAbove(path)) {
    const isShared = (stats.mode & 0o022) !== 0 && (stats.mode & 0o1000) === 0;
    if (isShared) return "others";
    if (stats.uid === 0 || stats.uid === us) continue;
    if (stats.uid !== uid) return "others";
    owner = "munged";
  }
  return owner;
}

/** The directories above a path that exist. */
function directoriesAbove(path: string): Stats[] {
  const found: Stats[] = [];
  let directory = dirname(path);
  while (statSync(directory, { throwIfNoEntry: false }) === undefined && directory !== "/") {
    directory = dirname(directory);
  }
  for (directory = realPath(directory);; directory = dirname(directory)) {
    found.push(lstatSync(directory));
    if (directory === "/") return found;
  }
}

/** Maximum number of entries to check in one of munged's directories. */
const MAX_ENTRIES = 64;

/** Whether a directory has only these files, and others that begin with their names. */
export function hasOnly(directory: string, files: readonly string[]): boolean {
  const names = files.filter((file) => dirname(file) === directory).map((file) => basename(file));
  try {
    const entries = readdirSync(directory);
    return entries.length > 0 && entries.length <= MAX_ENTRIES &&
      entries.every((entry) =>
        names.some((name) => entry === name || entry.startsWith(`${name}.`)) &&
        lstatSync(join(directory, entry)).isSymbolicLink() === false
      );
  } catch {
    return false;
  }
}
