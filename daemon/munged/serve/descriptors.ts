// Which worker serves which descriptor, in memory that all threads share: what a worker that died has left
// open can be closed for it.
import { close } from "../../../lib/os/socket.ts";

/** Descriptors that are kept track of. */
export const TRACKED_DESCRIPTORS = 65_536;

/** The table of an engine in which nobody serves anybody yet. */
export function createDescriptorTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(TRACKED_DESCRIPTORS * Uint32Array.BYTES_PER_ELEMENT);
}

/** Closes all that a worker which is gone has left open. */
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

  /** @param worker its number, 1 and up. */
  constructor(table: SharedArrayBuffer, worker: number) {
    this.#owners = new Uint32Array(table);
    this.#worker = worker;
  }

  /** Notes that this worker serves a descriptor. */
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
