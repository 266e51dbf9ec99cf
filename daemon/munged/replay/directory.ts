// The directory in which the replay cache outlives munged: beside the seed file, just as private, and used by one munged at a
// time.
import { constants, fchmodSync, fstatSync, lstatSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { MESSAGE_TIMEOUT_MS } from "../../../lib/protocol/message.ts";
import { lockFile } from "../../../lib/os/file_lock.ts";
import { systemText } from "../../../lib/os/system_text.ts";
import { createReplayState, type ReplayState } from "./minutes.ts";
import { takeOverJournals } from "./takeover.ts";
import type { DaemonConfig } from "../config.ts";
import { checkFile } from "../../../lib/files/security.ts";
import type { Logger } from "../../process/log.ts";

const DIRECTORY_MODE = 0o700;
const LOCK_NAME = "lock";
const LOCK_MODE = 0o600;
/** How long a stopping munged may take to serve its clients and write its files. */
const LOCK_PATIENCE_MS = MESSAGE_TIMEOUT_MS + 1000;
const LOCK_INTERVAL_MS = 10;

/**
 * The replay cache for `config`, with the entries of an earlier munged; null for none. If the directory is insecure or
 * unusable, or another munged is using it (two must not rely on it at once), the cache is kept in memory, with a warning.
 */
export function openReplayCache(config: DaemonConfig, log: Logger): ReplayState | null {
  if (config.benchmark) {
    log.info("Disabled replay hash");
    return null;
  }
  const directory = config.replayDir;
  if (directory === null) return createReplayState(null);
  try {
    prepareDirectory(directory, config, log);
    lockDirectory(directory);
  } catch (error) {
    log.warning(
      `Failed to use replay cache directory "${directory}": ${systemText(error)}: ` +
        "credentials decoded before a restart will not be known after it",
    );
    return createReplayState(null);
  }
  const state = createReplayState(directory, config.replaySync === 0);
  const oldest = Math.floor(Date.now() / 1000) - (config.timestampDriftMax ?? 0);
  for (const { name, reason } of takeOverJournals(state, oldest)) {
    const file = join(directory, name);
    log.warning(
      reason === null
        ? `Set aside damaged replay cache file "${file}"`
        : `Failed to use replay cache file "${file}": ${reason}: ` +
          `credentials that expire within its minute are refused until it can be read`,
    );
  }
  return state;
}

function prepareDirectory(directory: string, config: DaemonConfig, log: Logger): void {
  checkFile("seed", directory, { ...config, force: false }, log);
  try {
    mkdirSync(directory, { mode: DIRECTORY_MODE });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const stats = lstatSync(directory);
  const uid = process.geteuid!();
  if (!stats.isDirectory()) throw new Error("Not a directory");
  if (stats.uid !== uid) throw new Error(`should be owned by UID ${uid}`);
  if ((stats.mode & 0o077) !== 0) {
    throw new Error("should not be accessible by group or other (file mode 0700)");
  }
}

/** Locks the directory until this process ends; waits for a predecessor that is stopping. */
function lockDirectory(directory: string): void {
  const path = join(directory, LOCK_NAME);
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
  const fd = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, LOCK_MODE);
  const deadline = performance.now() + LOCK_PATIENCE_MS;
  if (!fstatSync(fd).isFile()) throw new Error(`"${path}" should be a regular file`);
  while (!lockFile(fd)) {
    if (performance.now() > deadline) {
      throw new Error("in use by another munged (give each its own with --replay-dir)");
    }
    Bun.sleepSync(LOCK_INTERVAL_MS);
  }
  fchmodSync(fd, LOCK_MODE);
}
