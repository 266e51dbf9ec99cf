// mungebox container: munged as the only process of a container, with its key from a mounted secret. Secrets are
// mounted as symbolic links or as another user's files, which munged rightly refuses as a key file, so this makes a copy
// in memory for munged alone.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MAX_KEY_LENGTH } from "../lib/credential/subkeys.ts";
import { duplicateOver } from "../lib/os/process.ts";
import { readInput } from "./command_line/files.ts";
import { run as runMunged } from "./munged/munged.ts";

/** The environment variable with the secret's path; Docker, Podman and our manifests mount it at the default. */
const SECRET_VARIABLE = "MUNGE_SECRET";
const DEFAULT_SECRET = "/run/secrets/munge.key";
/** A file system in memory that every container has. */
const MEMORY = "/dev/shm";

/** Runs munged in the foreground with `args` as additional options, logging to standard output. */
export async function run(_program: string, args: readonly string[]): Promise<number> {
  const key = readInput(process.env[SECRET_VARIABLE] ?? DEFAULT_SECRET, MAX_KEY_LENGTH);
  const directory = mkdtempSync(join(MEMORY, "munge-"));
  process.once("exit", () => rmSync(directory, { recursive: true }));
  const copy = join(directory, "munge.key");
  writeFileSync(copy, key, { mode: 0o600, flag: "wx" });
  chmodSync(copy, 0o600); // regardless of the umask
  key.fill(0);
  duplicateOver(1, 2);
  return await runMunged("munged", ["--foreground", `--key-file=${copy}`, ...args]);
}
