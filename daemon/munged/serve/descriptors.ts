// Which worker serves which descriptor and which process is at its other end, in memory shared by all threads: so that
// descriptors left open by a dead worker can be closed, and a retry can be told from one that comes too early.
import { close } from "../../../lib/os/socket.ts";

/** Number of descriptors tracked. */
export const TRACKED_DESCRIPTORS = 65_536;

/** How often to pause for another worker to answer a client: some hundredths of a second. */
const PATIENCE = 200;
const PAUSE_MS = 0.05;

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/** An empty table for an engine. */
export function createDescriptorTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(2 * TRACKED_DESCRIPTORS * Uint32Array.BYTES_PER_ELEMENT);
}

/** For each descriptor the worker's number, or 0. */
function ownersIn(table: SharedArrayBuffer): Uint32Array {
  return new Uint32Array(table, 0, TRACKED_DESCRIPTORS);
}

/** For each descriptor the process ID of the client, or 0. */
function clientsIn(table: SharedArrayBuffer): Uint32Array {
  return new Uint32Array(table, TRACKED_DESCRIPTORS * Uint32Array.BYTES_PER_ELEMENT);
}

/** Closes everything that a dead worker has left open. */
export function closeDescriptorsOf(table: SharedArrayBuffer, worker: number): void {
  const owners = ownersIn(table);
  const clients = clientsIn(table);
  for (let fd = owners.indexOf(worker); fd >= 0; fd = owners.indexOf(worker, fd)) {
    owners[fd] = 0;
    clients[fd] = 0;
    close(fd);
  }
}

/** One worker's descriptors. */
export class Descriptors {
  readonly #owners: Uint32Array;
  readonly #clients: Uint32Array;
  readonly #worker: number;

  /** @param worker its number, from 1. */
  constructor(table: SharedArrayBuffer, worker: number) {
    this.#owners = ownersIn(table);
    this.#clients = clientsIn(table);
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
    }
    close(fd);
  }
}
