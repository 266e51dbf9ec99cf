// Which worker serves which descriptor and which process is at its other end, in memory shared by all threads: so that
// descriptors left open by a dead worker can be closed, and a retry can be told from one that comes too early.
import { close } from "../../../lib/os/socket.ts";
import { hasInput } from "../../../lib/os/sender.ts";

/** Number of descriptors tracked. */
export const TRACKED_DESCRIPTORS = 65_536;

/** How often to pause for another worker to answer a client: some hundredths of a second. */
const PATIENCE = 200;
const PAUSE_MS = 0.05;

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/** An empty table for an engine. */
export function createDescriptorTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(3 * TRACKED_DESCRIPTORS * Uint32Array.BYTES_PER_ELEMENT);
}

/** For each descriptor the worker's number, or 0. */
function ownersIn(table: SharedArrayBuffer): Uint32Array {
  return new Uint32Array(table, 0, TRACKED_DESCRIPTORS);
}

/** For each descriptor the process ID of the client, or 0. */
function clientsIn(table: SharedArrayBuffer): Uint32Array {
  const size = TRACKED_DESCRIPTORS * Uint32Array.BYTES_PER_ELEMENT;
  return new Uint32Array(table, size, TRACKED_DESCRIPTORS);
}

/** For each descriptor 1 if it is a kept connection, of which no request is being answered. */
function idleIn(table: SharedArrayBuffer): Uint32Array {
  const size = TRACKED_DESCRIPTORS * Uint32Array.BYTES_PER_ELEMENT;
  return new Uint32Array(table, 2 * size, TRACKED_DESCRIPTORS);
}

/** Closes everything that a dead worker has left open. */
export function closeDescriptorsOf(table: SharedArrayBuffer, worker: number): void {
  const owners = ownersIn(table);
  const clients = clientsIn(table);
  const idle = idleIn(table);
  for (let fd = owners.indexOf(worker); fd >= 0; fd = owners.indexOf(worker, fd)) {
    owners[fd] = 0;
    clients[fd] = 0;
    idle[fd] = 0;
    close(fd);
  }
}

/** One worker's descriptors. */
export class Descriptors {
  readonly #owners: Uint32Array;
  readonly #clients: Uint32Array;
  readonly #idle: Uint32Array;
  readonly #worker: number;

  /** @param worker its number, from 1. */
  constructor(table: SharedArrayBuffer, worker: number) {
    this.#owners = ownersIn(table);
    this.#clients = clientsIn(table);
    this.#idle = idleIn(table);
    this.#worker = worker;
  }

  /**
   * Records that this worker serves a descriptor.
   *
   * @param client process ID of the client, if it is known.
   */
  own(fd: number, client = 0): void {
    if (fd >= this.#owners.length) return;
    this.#owners[fd] = this.#worker;
    this.#clients[fd] = client;
  }

  /**
   * Marks a kept connection as idle, or not. To be called before its bytes are read, and again once all requests that have
   * been read are answered.
   */
  setIdle(fd: number, isIdle: boolean): void {
    if (fd < this.#idle.length) Atomics.store(this.#idle, fd, isIdle ? 1 : 0);
  }

  /** Whether a kept connection has no request that is not answered yet, whichever worker serves it. */
  #isIdle(fd: number): boolean {
    // In this order: a request that has left the socket meanwhile has taken the mark away before.
    return this.#idle[fd] === 1 && !hasInput(fd) && Atomics.load(this.#idle, fd) === 1;
  }

  /**
   * Whether a process has no client but the current one, or has none after a moment in which another worker may answer it.
   */
  isOnlyClientOf(process: number): boolean {
    if (process === 0) return false;
    for (let pauses = 0;; pauses++) {
      let clients = 0;
      let own = 0;
      for (
        let fd = this.#clients.indexOf(process);
        fd >= 0;
        fd = this.#clients.indexOf(process, fd + 1)
      ) {
        if (this.#isIdle(fd)) continue;
        clients++;
        if (this.isOwn(fd)) own++;
      }
      if (clients <= 1) return true;
      if (own > 1 || pauses === PATIENCE) return false;
      Atomics.wait(sleepCell, 0, 0, PAUSE_MS);
    }
  }

  /** Whether this worker serves a descriptor. */
  isOwn(fd: number): boolean {
    return this.#owners[fd] === this.#worker;
  }

  /** Closes a descriptor that this worker serves. */
  hangUp(fd: number): void {
    if (fd < this.#owners.length) {
      this.#owners[fd] = 0;
      this.#clients[fd] = 0;
      this.#idle[fd] = 0;
    }
    close(fd);
  }
}
