// The directory that preserves the replay cache across restarts: beside the seed file, just as private, and used by one
// munged at a time.
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
} from "node:fs";
import { join } from "node:path";
import { MESSAGE_TIMEOUT_MS } from "../../../lib/protocol/message.ts";
import { lockFile } from "../../../lib/os/file_lock.ts";
import { systemText } from "../../../lib/os/system_text.ts";
import { createReplayState, type ReplayState } from "./minutes.ts";
import {
  dropTables,
  type LostJournal,
  previewJournals,
  takeOverJournals,
  takeOverRest,
} from "./takeover.ts";
import { type FileLock, isLockInPlace, seizeLock } from "../../process/lock_file.ts";
import type { DaemonConfig } from "../config.ts";
import { checkFile } from "../../../lib/files/security.ts";
import type { Logger } from "../../process/log.ts";

const DIRECTORY_MODE = 0o700;
const LOCK_NAME = "lock";
const LOCK_MODE = 0o600;
/** How long to wait for a munged that is stopping, which still serves its clients and writes its files. */
const LOCK_TIMEOUT_MS = MESSAGE_TIMEOUT_MS + 1000;
const LOCK_INTERVAL_MS = 10;

/** The replay cache of a munged, and its directory, if it has one. */
export class ReplayStore {
  readonly state: ReplayState;
  readonly #config: DaemonConfig;
  readonly #log: Logger;
  #lock: FileLock | null = null;

  /**
   * Does not yet lock the directory or read the journals in it.
   *
   * @param directory null for a cache in memory only.
   */
  constructor(directory: string | null, config: DaemonConfig, log: Logger) {
    this.state = createReplayState(directory, config.replaySync === 0);
    this.#config = config;
    this.#log = log;
  }

  /**
   * Locks the directory until this process ends, unless it already holds the lock; waits for a predecessor that is
   * stopping.
   *
   * @throws {Error} if another munged uses it.
   */
  lock(): void {
    if (this.#lock === null || !isLockInPlace(this.#lock)) {
      this.#lock = lockDirectory(this.state.directory!);
    }
  }

  /** Takes the lock of a running munged that has agreed to it. */
  seizeLock(): void {
    this.#lock = seizeLock(join(this.state.directory!, LOCK_NAME), LOCK_MODE);
  }

  /** Takes over the entries of an earlier munged. Call it before any thread uses the cache. */
  adopt(): void {
    this.#report(takeOverJournals(this.state, this.#oldest()));
  }

  /** Takes over most entries of a munged that is still serving. */
  preview(): void {
    previewJournals(this.state, this.#oldest());
  }

  /** Takes over the rest of its entries, now that it has stopped serving. @param hasErased whether it has erased any. */
  adoptRest(hasErased: boolean): void {
    this.#report(takeOverRest(this.state, this.#oldest(), hasErased));
  }

  /** The time before which expired credentials, and their journals, no longer matter. */
  #oldest(): number {
    return Math.floor(Date.now() / 1000) - (this.#config.timestampDriftMax ?? 0);
  }

  #report(lost: readonly LostJournal[]): void {
    for (const { name, reason } of lost) {
      const file = join(this.state.directory!, name);
      this.#log.warning(
        reason === null
          ? `Set aside damaged replay cache file "${file}"`
          : `Failed to use replay cache file "${file}": ${reason}: ` +
            `credentials that expire within its minute are refused until it can be read`,
      );
    }
  }

  /** Rebuilds all entries from the journals, to which another munged has written. No thread must be using the cache. */
  rebuild(): void {
    dropTables(this.state);
    this.adopt();
  }
}

/**
 * The replay cache for `config`, with the entries of an earlier munged; null for none. If the directory is insecure or
 * unusable, or another munged is using it (two must not rely on it at once), the cache is kept in memory, with a warning.
 */
export function openReplayCache(config: DaemonConfig, log: Logger): ReplayStore | null {
  if (config.benchmark) {
    log.info("Disabled replay hash");
    return null;
  }
  const directory = config.replayDir;
  if (directory === null) return new ReplayStore(null, config, log);
  const store = new ReplayStore(directory, config, log);
  try {
    prepareDirectory(directory, config, log);
    store.lock();
  } catch (error) {
    log.warning(
      `Failed to use replay cache directory "${directory}": ${systemText(error)}: ` +
        "credentials decoded before a restart will not be known after it",
    );
    return new ReplayStore(null, config, log);
  }
  store.adopt();
  return store;
}

/**
 * The replay cache for a munged that replaces another: still empty, because the other one is still using the directory.
 *
 * @throws {Error} if the directory can't be used.
 */
export function prepareReplayCache(
  directory: string,
  config: DaemonConfig,
  log: Logger,
): ReplayStore {
  prepareDirectory(directory, config, log);
  return new ReplayStore(directory, config, log);
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

function lockDirectory(directory: string): FileLock {
  const path = join(directory, LOCK_NAME);
  const deadline = performance.now() + LOCK_TIMEOUT_MS;
  for (;;) {
    const fd = openLock(path);
    while (!lockFile(fd)) {
      if (performance.now() > deadline) {
        closeSync(fd);
        throw new Error("in use by another munged (give each its own with --replay-dir)");
      }
      Bun.sleepSync(LOCK_INTERVAL_MS);
    }
    if (isLockInPlace({ path, fd })) {
      fchmodSync(fd, LOCK_MODE);
      return { path, fd };
    }
    closeSync(fd); // it was replaced (seizeLock)
  }
}

function openLock(path: string): number {
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
  const fd = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, LOCK_MODE);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw new Error(`"${path}" should be a regular file`);
}
