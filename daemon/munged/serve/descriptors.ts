// Which worker serves which descriptor, in memory shared by all threads, so that descriptors left open by a dead worker
// can be closed.
import { close } from "../../../lib/os/socket.ts";

/** Number of descriptors tracked. */
export const TRACKED_DESCRIPTORS = 65_536;

/** An empty table for an engine. */
export function createDescriptorTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(TRACKED_DESCRIPTORS * Uint32Array.BYTES_PER_ELEMENT);
}

/** Closes everything that a dead worker has left open. */
export function closeDescriptorsOf(table: SharedArrayBuffer, worker: number): void {
  const owners = new Uint32Array(table);
  for (let fd = owners.indexOf(worker); fd >= 0; fd = owners.indexOf(worker, fd)) {
    owners[fd] = 0;
    close(fd);
  }
}

/** One worker's descriptors. */
export class Descriptors {
  readonly #owners: Uint32Array;
  readonly #worker: number;

  /** @param worker its number, from 1. */
  constructor(table: SharedArrayBuffer, worker: number) {
    this.#owners = new Uint32Array(table);
    this.#worker = worker;
  }

  /** Records that this worker serves a descriptor. */
  own(fd: number): void {
    if (fd < this.#owners.length) this.#owners[fd] = this.#worker;
  }

  /** Whether this worker serves a descriptor. */
  isOwn(fd: number): boolean {
    return this.#owners[fd] === this.#worker;
  }

  /** Closes a descriptor that this worker serves. */
  hangUp(fd: number): void {
    if (fd < this.#owners.length) this.#owners[fd] = 0;
    close(fd);
  }
}
