// Where munged's files are, and how a command may change one: as root only where nobody else could put another file
// in its place meanwhile, as munged's user in that user's own directories, and not at all elsewhere.
import { lstatSync, readdirSync, realpathSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { advise, type Remedy, run } from "./finding.ts";

/** What a remedy has to name. */
export interface Place {
  readonly socketPath: string;
  readonly keyFile: string;
  /** Name of the user munged runs as, or the UID if it has no name. */
  readonly user: string;
  /** The command that starts munged. */
  readonly start: string;
  /** The command that stops munged, if it runs, and starts it. */
  readonly restart: string;
  /** Whose directories a path is in. */
  ownerOf(path: string): PathOwner;
  /** Whether a directory has nothing but munged's files. */
  isOwnDirectory(path: string): boolean;
}

/** Who can replace a file: root alone, munged's user too, or others. */
export type PathOwner = "root" | "munged" | "others";

/** Quotes a word for the shell if it needs quoting. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Has munged's user run a command, unless that is who is at work. */
export function asUser(user: string, uid: number | undefined, command: string): string {
  return uid === undefined || uid === process.geteuid!()
    ? command
    : `sudo -u ${quote(user)} ${command}`;
}

/**
 * A command on a file that follows symbolic links, chmod say: as root it must not run where munged's user could
 * put a link to another file.
 *
 * @param command takes the quoted path.
 * @param otherwise what to do where the file is in the hands of others.
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

/** Gives a file to a user, itself and not what it may link to. */
export function giveFile(place: Place, path: string, user: string): Remedy {
  return place.ownerOf(path) === "others"
    ? advise(`Move "${path}" to a directory that only root and ${place.user} can write to`)
    : run(`chown --no-dereference ${quote(user)} ${quote(path)}`);
}

/** A command on a directory, if it has nothing but munged's files. */
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

/** {@linkcode Place.ownerOf} for a munged of this UID, for whoever runs doctor. */
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
  for (directory = realpathSync(directory);; directory = dirname(directory)) {
    found.push(lstatSync(directory));
    if (directory === "/") return found;
  }
}

/** Entries that a directory of munged's may have; more are not looked at. */
const MAX_ENTRIES = 64;

/** Whether all that a directory has are these files, and others that begin with their names. */
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
