// The socket that clients find munged by: bound with the mode everybody needs, made again when somebody removes
// it, and removed at the end, unless it is another daemon's by then.
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
/** Where Linux has the longest listen queue there may be, net.core.somaxconn. */
const SOMAXCONN = "/proc/sys/net/core/somaxconn";
const MAX_LISTEN_BACKLOG = 2 ** 31 - 1;

/** A socket path that is ours alone, and from {@linkcode bind} on a socket. */
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
   * @returns its descriptor, whose number stays the same whatever becomes of the file.
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
   * Makes the socket, and its directory and lock, again if they are gone. What another daemon has put there stays.
   *
   * @param listener the descriptor that {@linkcode bind} gave.
   * @returns whether there is another socket behind it now, which threads have to watch anew.
   * @throws {Error} if it can't be made.
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

  /** Removes the socket, unless it is another daemon's by now. */
  remove(): void {
    const { socketPath } = this.#config;
    try {
      const found = lstatSync(socketPath);
      if (found.ino === this.#bound?.ino && found.dev === this.#bound.dev) unlinkSync(socketPath);
    } catch (error) {
      this.#log.warning(`Failed to remove socket "${socketPath}": ${systemText(error)}`);
    }
  }

  /** Removes the lock's file: now another munged may start. */
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

/** The length of the listen queue; -1 stands for the longest there may be. */
function backlogInForce(asked: number): number {
  if (asked >= 0) return asked === 0 ? DEFAULT_LISTEN_BACKLOG : asked;
  try {
    return Number(readFileSync(SOMAXCONN, "utf8"));
  } catch {
    return MAX_LISTEN_BACKLOG; // which a system without that file lowers silently
  }
}
