// The key files of all realms: which there are, their state as seen by stat(), and where to watch for changes.
// ring_reader.ts reads them.
import { type BigIntStats, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { DEFAULT_REALM, isRealmName } from "../../../lib/credential/realm.ts";
import { MungeError } from "../../../lib/errors.ts";
import { KEY_ROLES, keyPath } from "../../../lib/keys/ring.ts";
import { realPath } from "../../../lib/os/real_path.ts";
import { systemText } from "../../../lib/os/system_text.ts";
import type { DaemonConfig } from "../config.ts";

const REALM_SUFFIX = ".key";

/**
 * The key file of each realm; one named explicitly overrides one in the realms' directory.
 *
 * @throws {MungeError} if the realms' directory exists and can't be read.
 */
export function keyFiles({ keyFile, realmDir, realms }: DaemonConfig): Map<string, string> {
  const files = new Map([[DEFAULT_REALM, keyFile]]);
  for (const name of realmNames(realmDir)) {
    files.set(name, join(realmDir, `${name}${REALM_SUFFIX}`));
  }
  for (const { name, keyFile } of realms) files.set(name, keyFile);
  return files;
}

/** The state of all key files as seen by stat(); changes when any of them does. */
export function keyFilesState(config: DaemonConfig): string {
  const lines: string[] = [];
  for (const [name, keyFile] of keyFiles(config)) lines.push(`${name} ${ringState(keyFile)}`);
  return lines.join("\n");
}

/** The directories of all key files, including the targets of links. */
export function keyDirectories(config: DaemonConfig): string[] {
  const files = [...keyFiles(config).values()].flatMap((file) => [file, realPathOf(file)]);
  return [...new Set([config.realmDir, ...files.map((file) => dirname(file))])];
}

/** A file's real path, or the given path if that can't be determined. */
function realPathOf(path: string): string {
  try {
    return realPath(path);
  } catch {
    return path;
  }
}

/** The state of a ring's files as seen by stat(). */
export function ringState(keyFile: string): string {
  return KEY_ROLES.map((role) => {
    let stats: BigIntStats;
    try {
      stats = statSync(keyPath(keyFile, role), { bigint: true }); // a secret is a link to a link that moves
    } catch {
      return "-"; // reading it will say why
    }
    const { dev, ino, size, mode, uid, mtimeNs, ctimeNs } = stats;
    return [dev, ino, size, mode, uid, mtimeNs, ctimeNs].join(":");
  }).join(" ");
}

/** The realms with a key in the directory, if it exists. */
function realmNames(directory: string): string[] {
  let files: string[];
  try {
    files = readdirSync(directory).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return []; // reading the key beside it will fail
    const text = `Failed to read realms directory "${directory}": ${systemText(error)}`;
    throw new MungeError("EMUNGE_SNAFU", text, { cause: error });
  }
  return files.filter((file) => file.endsWith(REALM_SUFFIX))
    .map((file) => file.slice(0, -REALM_SUFFIX.length)).filter(isRealmName);
}
