// munged's socket: bound with a mode that admits all users, recreated if someone removes it, and removed at the end
// unless another daemon has taken it over by then.
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { dirname } from "node:path";
import { MungeError } from "../../lib/errors.ts";
import { checkFile } from "../../lib/files/security.ts";
import { duplicateOver } from "../../lib/os/process.ts";
import { close, listenUnix } from "../../lib/os/socket.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { type FileLock, isLockInPlace, lockSocket, removeLock } from "../process/lock_file.ts";
import type { Logger } from "../process/log.ts";
import { type DaemonConfig, DEFAULT_LISTEN_BACKLOG } from "./config.ts";

const SOCKET_MODE = 0o777;
const DIRECTORY_MODE = 0o755;
/** The maximum length of a listen queue on Linux, net.core.somaxconn. */
const SOMAXCONN = "/proc/sys/net/core/somaxconn";
const MAX_LISTEN_BACKLOG = 2 ** 31 - 1;

/** A locked socket path and, after {@linkcode bind}, its socket. */
export class BoundSocket {
  readonly #config: DaemonConfig;
  readonly #log: Logger;
  readonly #backlog: number;
  #lock: FileLock;
  #bound: Stats | undefined;

  /**
   * Takes the path's lock.
   *
   * @throws {MungeError} when another daemon holds it, or the directories are insecure.
   */
  constructor(config: DaemonConfig, log: Logger) {
    this.#config = config;
    this.#log = log;
    this.#backlog = backlogInForce(config.listenBacklog);
    checkFile("socket", config.socketPath, config, log);
    this.#lock = lockSocket(config, log);
  }

  /**
   * Binds the socket.
   *
   * @returns its descriptor, whose number never changes, even if the socket is recreated.
   * @throws {MungeError} if that fails.
   */
  bind(): number {
    const { socketPath } = this.#config;
    if (lstatSync(socketPath, { throwIfNoEntry: false }) !== undefined) {
      removeExisting(socketPath);
      this.#log.info(`Removed existing socket "${socketPath}"`);
    }
    const listener = this.#listen();
    this.#log.info(`Created socket "${socketPath}"`);
    this.#log.info(`Set socket listen backlog to ${this.#backlog}`);
    return listener;
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
    mkdirSync(dirname(socketPath), { recursive: true, mode: DIRECTORY_MODE });
    checkFile("socket", socketPath, this.#config, this.#log);
    if (!isLockInPlace(this.#lock)) {
      const lock = lockSocket({ socketPath, force: false }, this.#log);
      closeSync(this.#lock.fd);
      this.#lock = lock;
    }
    const fd = this.#listen();
    duplicateOver(fd, listener);
    close(fd);
    this.#log.warning(`Created socket "${socketPath}" again: it had been removed`);
    return true;
  }

  /** Removes the socket, unless it now belongs to another daemon. */
  remove(): void {
    const { socketPath } = this.#config;
    try {
      const found = lstatSync(socketPath);
      if (found.ino === this.#bound?.ino && found.dev === this.#bound.dev) unlinkSync(socketPath);
    } catch (error) {
      this.#log.warning(`Failed to remove socket "${socketPath}": ${systemText(error)}`);
    }
  }

  /** Removes the lock file, so that another munged may start. */
  removeLock(): void {
    removeLock(this.#lock, this.#log);
  }

  #listen(): number {
    const { socketPath } = this.#config;
    const fd = listenUnix(socketPath, this.#backlog);
    chmodSync(socketPath, SOCKET_MODE);
    this.#bound = lstatSync(socketPath);
    return fd;
  }
}

function removeExisting(path: string): void {
  try {
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
    return MAX_LISTEN_BACKLOG; // which a system without that file lowers silently
  }
}
