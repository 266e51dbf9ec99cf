// Checks the directories above a file that munged trusts, and those behind symbolic links on its path: anyone who can write to
// one of them can replace the file. security.ts has the rules for each file.
import type { Stats } from "node:fs";
import { MungeError } from "../errors.ts";
import { fs, paths } from "../os/file_system.ts";
import { realPath } from "../os/real_path.ts";
import { systemText } from "../os/system_text.ts";

/** The rules for directories. */
export interface DirectoryRules {
  /** Whether they may be writable by a group. */
  readonly groupWritable?: true;
  /** Whether they may belong to any user. */
  readonly anyOwner?: true;
  /** GID that may write to them, or null. */
  readonly trustedGroup: number | null;
  /** UID of the daemon; they may belong to it or to root. */
  readonly uid: number;
}

/** A directory. */
export interface Directory {
  readonly path: string;
  readonly stats: Stats;
}

/**
 * The real directory of `path` and all directories above it, the root last.
 *
 * @param name of the directory, in messages.
 * @throws {MungeError} if one of them can't be examined.
 */
export function directoriesAbove(name: string, path: string): Directory[] {
  // Not node:path's dirname(), which drops the "." that appears in the reference's messages.
  const start = path.slice(0, Math.max(path.lastIndexOf("/"), 1));
  const fail = (what: string, error: unknown) =>
    new MungeError(
      "EMUNGE_SNAFU",
      `Failed to check ${name} "${start}": cannot ${what}: ${systemText(error)}`,
      { cause: error },
    );
  let directory: string;
  try {
    directory = realPath(start);
  } catch (error) {
    throw fail(`canonicalize "${start}"`, error);
  }
  const directories: Directory[] = [];
  for (;;) {
    try {
      directories.push({ path: directory, stats: fs().statSync(directory) });
    } catch (error) {
      throw fail(`stat "${directory}"`, error);
    }
    const parent = paths().dirname(directory);
    if (parent === directory) return directories;
    directory = parent;
  }
}

/** How one of the directories breaches the rules; undefined if none does. */
export function directoryBreach(
  directories: readonly Directory[],
  { groupWritable, anyOwner, trustedGroup, uid }: DirectoryRules,
): string | undefined {
  for (const { path, stats } of directories) {
    if (anyOwner !== true && stats.uid !== 0 && stats.uid !== uid) {
      return `invalid ownership of "${path}" (uid=${stats.uid})`;
    }
    if ((stats.mode & 0o1000) !== 0) continue; // sticky: users can't replace files of others
    if ((stats.mode & 0o20) !== 0 && groupWritable !== true && stats.gid !== trustedGroup) {
      return `group-writable permissions without sticky bit set on "${path}"`;
    }
    if ((stats.mode & 0o2) !== 0) {
      return `world-writable permissions without sticky bit set on "${path}"`;
    }
  }
  return undefined;
}

/** The maximum number of links on a path; the kernel also follows 40. */
const MAX_LINKS = 40;

/**
 * Checks the symbolic links on a path, and the directories reached only through them: a user who can replace one of
 * them decides which file is used.
 */
export function detourBreach(
  checked: string,
  known: readonly Directory[],
  rules: DirectoryRules,
): string | undefined {
  const passed: Directory[] = [];
  let links = 0;
  let at = "/";
  for (const rest = checked.split("/"); rest.length > 0;) {
    const name = rest.shift()!;
    const path = paths().join(at, name);
    const stats = fs().lstatSync(path);
    if (!stats.isSymbolicLink()) {
      at = path;
      if (stats.isDirectory()) passed.push({ path, stats });
      continue;
    }
    if (stats.uid !== 0 && stats.uid !== rules.uid) {
      return `invalid ownership of symbolic link "${path}" (uid=${stats.uid})`;
    }
    if (++links > MAX_LINKS) return `too many symbolic links on the way to "${path}"`;
    const target = fs().readlinkSync(path);
    if (target.startsWith("/")) at = "/";
    rest.unshift(...target.split("/"));
  }
  const others = passed.filter(({ path }) => !known.some((directory) => directory.path === path));
  return directoryBreach(others, rules);
}
