// mungebox container: runs munged as the only process of a container, with its key straight from a mounted secret. If
// something is missing in the container, this reports which mount to add; munged does everything else.
import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  mkdirSync,
  openSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { type DaemonConfig, DEFAULTS } from "../daemon/munged/config.ts";
import { chooseThreads } from "../daemon/munged/memory_limit.ts";
import { createLogger } from "../daemon/process/log.ts";
import { stderrLog } from "../daemon/process/log_target.ts";
import { MungeError } from "../lib/errors.ts";
import { isMountedReadOnly } from "../lib/os/mounts.ts";
import { duplicateOver } from "../lib/os/process.ts";
import { systemCode } from "../lib/os/system_text.ts";
import { userByName } from "../lib/os/users.ts";
import { run as runMunged } from "./munged/munged.ts";

/** The environment variable with the secret's path; Docker, Podman and our manifests mount it at the default. */
const SECRET_VARIABLE = "MUNGE_SECRET";
const DEFAULT_SECRET = "/run/secrets/munge.key";

/** munged's user in the image. */
const USER = "munge";
/** The directories of munged's files, with their modes. */
const DIRECTORIES = [[DEFAULTS.socketPath, 0o755], [DEFAULTS.seedFile, 0o711]] as const;

/** Runs munged in the foreground with `args` as additional options, logging to standard output. */
export async function run(_program: string, args: readonly string[]): Promise<number | void> {
  if (args[0] === "--make-directories") return makeDirectories();
  const secret = process.env[SECRET_VARIABLE] ?? DEFAULT_SECRET;
  duplicateOver(1, 2);
  const words = ["--foreground", `--key-file=${secret}`, ...args];
  return await runMunged("munged", words, (config, sources) => {
    const prepared = { ...config, mountedSecrets: true };
    if (config.stop) return prepared;
    requireMounts(config);
    return sources.has("num-threads") ? prepared : withFittingThreads(prepared);
  });
}

/** The configuration with a number of threads for this container, which the log explains. */
function withFittingThreads(config: DaemonConfig): DaemonConfig {
  const { threads, reason } = chooseThreads(config.maxPayload);
  const log = createLogger(stderrLog(config));
  log.info(`Using ${threads} thread${threads === 1 ? "" : "s"} for ${reason}`);
  return { ...config, numThreads: threads };
}

/** @throws {MungeError} that names the mount to add, if the key or a place for munged's files is missing. */
function requireMounts({ keyFile, socketPath, seedFile }: DaemonConfig): void {
  const uid = process.geteuid!();
  const fail = (text: string, error: unknown) =>
    new MungeError("EMUNGE_SNAFU", text, { cause: error });
  try {
    accessSync(keyFile, constants.R_OK);
  } catch (error) {
    if (systemCode(error) === "EACCES") {
      throw fail(
        `UID ${uid} can't read the key "${keyFile}": mount a file that UID ${uid} owns (chmod 400)`,
        error,
      );
    }
    throw fail(
      `There is no key at "${keyFile}": mount one that UID ${uid} can read, for example with ` +
        `docker run --volume "$PWD/munge.key:${keyFile}:ro" mungebox`,
      error,
    );
  }
  if (statSync(keyFile).uid !== uid && !isMountedReadOnly(keyFile)) {
    throw new MungeError(
      "EMUNGE_SNAFU",
      `The key "${keyFile}" can be changed by others: mount it read-only ` +
        `(docker run --volume FILE:${keyFile}:ro), or give it to UID ${uid} ` +
        `(podman run --secret munge.key,uid=${uid},mode=0400)`,
    );
  }
  for (const directory of new Set([dirname(socketPath), dirname(seedFile)])) {
    const stats = statSync(directory, { throwIfNoEntry: false });
    if (stats === undefined) continue; // munged reports it
    if ((stats.uid === 0 || stats.uid === uid) && isWritable(directory)) continue;
    throw new MungeError(
      "EMUNGE_SNAFU",
      `UID ${uid} can't write to "${directory}", which belongs to UID ${stats.uid}: run as ` +
        `UID ${stats.uid}, or mount a volume in memory there (docker run --tmpfs ` +
        `${directory}:mode=1777, or an emptyDir with medium: Memory)`,
    );
  }
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Gives the directories to munged's user, for an init container that mounts them from the node. @throws {MungeError} */
function makeDirectories(): void {
  const user = userByName(USER);
  if (user === undefined) throw new MungeError("EMUNGE_SNAFU", `There is no user "${USER}"`);
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  for (const [file, mode] of DIRECTORIES) {
    const path = dirname(file);
    mkdirSync(path, { recursive: true });
    const fd = openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      const { uid } = fstatSync(fd);
      if (uid === user.uid) continue;
      if (uid !== 0) {
        throw new MungeError("EMUNGE_SNAFU", `"${path}" belongs to UID ${uid}, not to root`);
      }
      fchmodSync(fd, mode); // while root still owns it, so that CAP_CHOWN suffices
      fchownSync(fd, user.uid, user.gid);
    } finally {
      closeSync(fd);
    }
  }
}
