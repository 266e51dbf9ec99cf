// munged's socket: bound with a mode that admits all users, or received from the service manager or a munged that hands
// over. It is recreated if someone removes it, and removed at the end unless another process has taken it over.
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { basename, dirname } from "node:path";
import { MungeError } from "../../lib/errors.ts";
import { refuseDevice } from "../../lib/files/replacement.ts";
import { checkFile } from "../../lib/files/security.ts";
import { listeningPath } from "../../lib/os/inherited_socket.ts";
import { duplicateAbove, duplicateOver } from "../../lib/os/process.ts";
import { realPath } from "../../lib/os/real_path.ts";
import { close, listenUnix, setBacklog, setNonBlocking } from "../../lib/os/socket.ts";
import { systemText } from "../../lib/os/system_text.ts";
import {
  type FileLock,
  isLockInPlace,
  lockPath,
  lockSocket,
  removeLock,
  seizeLock,
} from "../process/lock_file.ts";
import type { Logger } from "../process/log.ts";
import { type DaemonConfig, DEFAULT_LISTEN_BACKLOG } from "./config.ts";

const SOCKET_MODE = 0o777;
const DIRECTORY_MODE = 0o755;
/** How long the locks of a process that has ended may outlive its connections. */
const RELEASE_MS = 1_000;
const RELEASE_POLL_MS = 2;
/** The maximum length of a listen queue on Linux, net.core.somaxconn. */
const SOMAXCONN = "/proc/sys/net/core/somaxconn";
/** Standard error, the last descriptor with a fixed meaning. */
const LAST_STANDARD = 2;
const MAX_LISTEN_BACKLOG = 2 ** 31 - 1;

/** The process that passed a socket. */
export interface SocketSource {
  readonly name: string;
  /** Whether the service manager made the socket. */
  readonly isOwnedByManager: boolean;
  /** Whether it is a munged that still serves. */
  readonly isMunged: boolean;
}

/** The service manager that started us. */
export const SERVICE_MANAGER: SocketSource = {
  name: "service manager",
  isOwnedByManager: true,
  isMunged: false,
};

/** munged's socket: its path, its lock, and after {@linkcode bind} or {@linkcode adopt} the socket itself. */
export class BoundSocket {
  readonly path: string;
  readonly #config: DaemonConfig;
  readonly #log: Logger;
  readonly #backlog: number;
  #lock: FileLock | null = null;
  #bound: Stats | undefined;
  #isOwnedByManager = false;
  #isOwnedByOther = false;

  /** @throws {MungeError} when the directories are insecure. */
  constructor(config: DaemonConfig, log: Logger) {
    this.path = config.socketPath;
    this.#config = config;
    this.#log = log;
    this.#backlog = backlogInForce(config.listenBacklog);
    checkFile("socket", config.socketPath, config, log);
  }

  /** Takes the path's lock. @throws {MungeError} when another daemon holds it. */
  lock(): void {
    this.#lock = lockSocket(this.#config, this.#log);
  }

  /** Takes the path's lock from a daemon that hands over. @throws the system's error. */
  seizeLock(): void {
    this.#lock = seizeLock(lockPath(this.path));
  }

  /** Makes a socket adopted from another munged ours. */
  own(listener: number): void {
    this.#isOwnedByOther = false;
    this.#setBacklog(listener);
  }

  /** Leaves the socket to another munged, which has claimed it. */
  handOver(): void {
    this.#isOwnedByOther = true;
  }

  /** Takes the path's lock from a munged that has ended. @throws {MungeError} if someone else has it. */
  reclaimLock(): void {
    for (const deadline = performance.now() + RELEASE_MS; !this.#isLocked();) {
      try {
        this.#lock = lockSocket({ socketPath: this.path, force: false }, this.#log);
      } catch (error) {
        if (performance.now() > deadline) throw error;
        Bun.sleepSync(RELEASE_POLL_MS);
      }
    }
  }

  #isLocked(): boolean {
    return this.#lock !== null && isLockInPlace(this.#lock);
  }

  /**
   * Binds the socket.
   *
   * @returns its descriptor, whose number never changes, even if the socket is recreated.
   * @throws {MungeError} if that fails.
   */
  bind(): number {
    const { socketPath } = this.#config;
    let hasRemovedStale = false;
    const removeStale = () => {
      if (lstatSync(socketPath, { throwIfNoEntry: false }) === undefined) return;
      removeExisting(socketPath);
      hasRemovedStale = true;
    };
    let listener: number;
    try {
      listener = this.#listen(removeStale);
    } finally {
      if (hasRemovedStale) this.#log.info(`Removed existing socket "${socketPath}"`);
    }
    this.#log.info(`Created socket "${socketPath}"`);
    this.#log.info(`Set socket listen backlog to ${this.#backlog}`);
    return listener;
  }

  /** Whether the service manager made the socket, and keeps it when munged ends. */
  get isOwnedByManager(): boolean {
    return this.#isOwnedByManager;
  }

  /** Whether another munged has the socket: a predecessor until {@linkcode own}, or a successor. */
  get isOwnedByOther(): boolean {
    return this.#isOwnedByOther;
  }

  /** Whether another process listens on the same socket, so that it must be neither shut down nor removed. */
  get isShared(): boolean {
    return this.#isOwnedByManager || this.#isOwnedByOther;
  }

  /**
   * Uses a socket made by another process instead of binding one.
   *
   * @param passed the descriptor that it passed.
   * @param from the service manager, or a munged, whose socket it stays until {@linkcode own}.
   * @returns as {@linkcode bind}.
   * @throws {MungeError} if it isn't a socket that listens on our path.
   */
  adopt(passed: number, from: SocketSource): number {
    const { socketPath } = this.#config;
    const fail = (reason: string): never => {
      const text = `Failed to use socket from ${from.name} for "${socketPath}": ${reason}`;
      throw new MungeError("EMUNGE_SNAFU", text);
    };
    try {
      const path = listeningPath(passed);
      if (!isSamePath(path, socketPath)) fail(`It listens on "${path}" (see --socket)`);
      const listener = duplicateAbove(passed, LAST_STANDARD);
      close(passed);
      setNonBlocking(listener);
      this.#bound = lstatSync(socketPath, { throwIfNoEntry: false });
      this.#isOwnedByManager = from.isOwnedByManager;
      this.#isOwnedByOther = from.isMunged;
      this.#log.info(`Received socket "${socketPath}" from ${from.name}`);
      if (!from.isMunged) this.#setBacklog(listener);
      return listener;
    } catch (error) {
      if (error instanceof MungeError) throw error;
      return fail(systemText(error));
    }
  }

  /**
   * Recreates the socket, its directory and its lock if they are gone. Leaves another daemon's files alone.
   *
   * @param listener the descriptor from {@linkcode bind}.
   * @returns whether it now refers to a new socket, which threads have to start watching.
   * @throws {Error} if it can't be created.
   */
  restore(listener: number): boolean {
    const { socketPath } = this.#config;
    if (lstatSync(socketPath, { throwIfNoEntry: false }) !== undefined) return false;
    makeDirectories(dirname(socketPath));
    checkFile("socket", socketPath, this.#config, this.#log);
    if (!this.#isLocked()) {
      const lock = lockSocket({ socketPath, force: false }, this.#log);
      if (this.#lock !== null) closeSync(this.#lock.fd);
      this.#lock = lock;
    }
    const fd = this.#listen();
    duplicateOver(fd, listener);
    close(fd);
    const hint = this.#isOwnedByManager
      ? "; the service manager will use it once its socket unit is restarted"
      : "";
    this.#isOwnedByManager = false;
    this.#log.warning(`Created socket "${socketPath}" again: it had been removed${hint}`);
    return true;
  }

  /** Removes the socket, unless another process has it or, by now, its path. */
  remove(): void {
    const { socketPath } = this.#config;
    if (this.isShared) return;
    try {
      const found = lstatSync(socketPath);
      if (found.ino === this.#bound?.ino && found.dev === this.#bound.dev) unlinkSync(socketPath);
    } catch (error) {
      this.#log.warning(`Failed to remove socket "${socketPath}": ${systemText(error)}`);
    }
  }

  /** Removes the lock file, so that another munged may start. */
  removeLock(): void {
    if (this.#lock !== null) removeLock(this.#lock, this.#log);
  }

  /** Sets the length of the queue, and makes us the peer that the kernel reports to clients. */
  #setBacklog(listener: number): void {
    setBacklog(listener, this.#backlog);
    this.#log.info(`Set socket listen backlog to ${this.#backlog}`);
  }

  /**
   * Creates the socket with its final mode, because libmunge gives up at once if the socket is missing or closed to it.
   * Only the umask can give it that mode: a socket that is bound under another name and renamed keeps the other name as its
   * address. Other threads may create files at the same time, but ours always specify a mode that gives nobody else access.
   *
   * @param removeStale removes the socket of an earlier process, at the last moment for the same reason.
   */
  #listen(removeStale?: () => void): number {
    const { socketPath } = this.#config;
    const umask = process.umask(0);
    try {
      const fd = listenUnix(socketPath, this.#backlog, removeStale);
      chmodSync(socketPath, SOCKET_MODE); // regardless of the directory's default ACL
      this.#bound = lstatSync(socketPath);
      return fd;
    } finally {
      process.umask(umask);
    }
  }
}

/** Whether two paths name the same socket, even if links lead to its directory. */
export function isSamePath(path: string, other: string): boolean {
  if (path === other) return true;
  if (basename(path) !== basename(other)) return false;
  try {
    return realPath(dirname(path)) === realPath(dirname(other));
  } catch {
    return false; // an abstract name, or a directory that is gone
  }
}

/** Makes a directory and its missing parents, accessible to all users regardless of the umask. */
function makeDirectories(path: string): void {
  const first = mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE });
  if (first === undefined) return;
  for (let made = path;; made = dirname(made)) {
    chmodSync(made, DIRECTORY_MODE);
    if (made === first) return;
  }
}

function removeExisting(path: string): void {
  try {
    refuseDevice(path);
    unlinkSync(path);
  } catch (error) {
    const text = `Failed to remove socket "${path}": ${systemText(error)}`;
    throw new MungeError("EMUNGE_SNAFU", text, { cause: error });
  }
}

/** The length of the listen queue; -1 means the maximum. */
function backlogInForce(asked: number): number {
  if (asked >= 0) return asked === 0 ? DEFAULT_LISTEN_BACKLOG : asked;
  try {
    return Number(readFileSync(SOMAXCONN, "utf8"));
  } catch {
    return MAX_LISTEN_BACKLOG; // systems without that file lower it silently
  }
}
