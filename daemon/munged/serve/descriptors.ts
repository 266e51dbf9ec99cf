// Records, in memory shared by all threads, which worker serves each descriptor, which process is at its other end, and how
// far munged has got with what that process sent. So descriptors left open by a dead worker can be closed, and a retry can't
// overtake the attempt before it (retries.ts).
import { close } from "../../../lib/os/socket.ts";
import { hasInput } from "../../../lib/os/sender.ts";

/** Number of descriptors tracked. */
export const TRACKED_DESCRIPTORS = 65_536;
const TABLE_BYTES = TRACKED_DESCRIPTORS * Int32Array.BYTES_PER_ELEMENT;

/** Steps that a closed descriptor skips, so that nobody waits for the next client with the same descriptor. */
const SKIPPED_STEPS = 4;

/** An empty table for an engine. */
export function createDescriptorTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(3 * TABLE_BYTES);
}

/** For each descriptor the worker's number, or 0. */
function ownersIn(table: SharedArrayBuffer): Int32Array {
  return new Int32Array(table, 0, TRACKED_DESCRIPTORS);
}

/** For each descriptor the process ID of the client, or 0. */
function clientsIn(table: SharedArrayBuffer): Int32Array {
  return new Int32Array(table, TABLE_BYTES, TRACKED_DESCRIPTORS);
}

/**
 * For each descriptor, a number that grows: odd while the worker reads from it or has an unanswered request from it, even
 * while it waits for more bytes.
 */
function stepsIn(table: SharedArrayBuffer): Int32Array {
  return new Int32Array(table, 2 * TABLE_BYTES, TRACKED_DESCRIPTORS);
}

/** Closes everything that a dead worker has left open. */
export function closeDescriptorsOf(table: SharedArrayBuffer, worker: number): void {
  const owners = ownersIn(table);
  const descriptors = new Descriptors(table, worker);
  for (let fd = owners.indexOf(worker); fd >= 0; fd = owners.indexOf(worker, fd)) {
    descriptors.hangUp(fd);
  }
}

/** A request that a process may have sent before a certain moment. */
export interface EarlierRequest {
  readonly fd: number;
  /** The step of its descriptor by which it has been answered. */
  readonly answeredBy: number;
}

/** One worker's descriptors. */
export class Descriptors {
  readonly #owners: Int32Array;
  readonly #clients: Int32Array;
  readonly #steps: Int32Array;
  readonly #worker: number;

  /** @param worker its number, from 1. */
  constructor(table: SharedArrayBuffer, worker: number) {
    this.#owners = ownersIn(table);
    this.#clients = clientsIn(table);
    this.#steps = stepsIn(table);
    this.#worker = worker;
  }

  /**
   * Records that this worker serves a descriptor.
   *
   * @param client process ID of the client, if it is known.
   */
  own(fd: number, client = 0): void {
    if (fd >= TRACKED_DESCRIPTORS) return;
    this.#owners[fd] = this.#worker;
    this.setIdle(fd, false);
    Atomics.store(this.#clients, fd, client);
  }

  /**
   * Marks a client as idle, or not. Call it before reading the client's bytes, and again once all that had arrived has been
   * read and every complete request in it has been answered.
   */
  setIdle(fd: number, isIdle: boolean): void {
    if (fd >= TRACKED_DESCRIPTORS) return;
    const steps = this.#steps;
    if ((steps[fd]! % 2 === 0) !== isIdle) Atomics.add(steps, fd, 1);
  }

  /**
   * What a process has sent by now and munged has not answered, except over one descriptor.
   *
   * @param most how many requests to look for.
   */
  requestsOf(process: number, except: number, most: number): EarlierRequest[] {
    const requests: EarlierRequest[] = [];
    const clients = this.#clients;
    for (let fd = clients.indexOf(process); fd >= 0; fd = clients.indexOf(process, fd + 1)) {
      if (requests.length === most) break;
      if (fd === except) continue;
      const step = Atomics.load(this.#steps, fd);
      // Bytes may have arrived after the worker last read: it must read once more, from beginning to end.
      const request = { fd, answeredBy: step + (step % 2 === 0 ? 2 : 3) };
      if (!this.isAnswered(request)) requests.push(request);
    }
    return requests;
  }

  /** Whether munged has answered, or discarded, what a client had sent. */
  isAnswered({ fd, answeredBy }: EarlierRequest): boolean {
    const step = Atomics.load(this.#steps, fd);
    if (((step - answeredBy) | 0) >= 0) return true;
    // In this order: a worker changes the step before it takes bytes from the socket.
    return step % 2 === 0 && !hasInput(fd) && Atomics.load(this.#steps, fd) === step;
  }

  /** Whether this worker serves a descriptor. */
  isOwn(fd: number): boolean {
    return this.#owners[fd] === this.#worker;
  }

  /** Closes a descriptor that this worker serves. */
  hangUp(fd: number): void {
    if (fd < TRACKED_DESCRIPTORS) {
      this.#owners[fd] = 0;
      this.#clients[fd] = 0;
      this.setIdle(fd, true);
      Atomics.add(this.#steps, fd, SKIPPED_STEPS);
    }
    close(fd);
  }
}
