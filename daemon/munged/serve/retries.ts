// Retries of decodes. The attempt before a retry may have reached munged and still be waiting, unread, at any worker. It may
// be a replay, after which the retry must not be believed, so it must be processed first: a retry waits until munged has
// answered everything that its process sent before it. No worker is held up meanwhile. replay/entry.ts decides which retries
// are believed.
import { MESSAGE_TIMEOUT_MS } from "../../../lib/protocol/message.ts";
import type { Descriptors, EarlierRequest } from "./descriptors.ts";
import type { ParkedClient } from "./parked.ts";
import type { Serving, Standby } from "./standby.ts";

/** How long a retry waits; its client must still get the answer in time. */
const MAX_WAIT_MS = MESSAGE_TIMEOUT_MS / 2;
/** Number of retries that may wait at a worker, and of requests that each may wait for; more would take too long to check. */
const MAX_WAITING = 256;
const MAX_EARLIER = 256;

/** A client whose retry waits; the client is parked. */
export interface RetryingClient {
  readonly client: ParkedClient;
  /** Number of earlier attempts. */
  readonly retry: number;
}

/** What must be answered before a retry. */
interface Earlier {
  readonly fd: number;
  readonly pid: number;
  /** Workers with a client that may belong to the same process, which is not known yet. */
  readonly serving: Serving[];
  /** Requests of the process; null until all of them are known. */
  requests: EarlierRequest[] | null;
}

/** A retry that waits. */
interface Waiting extends RetryingClient {
  readonly earlier: Earlier;
  readonly deadline: number;
}

/** The retries of one worker. */
export class Retries {
  readonly #standby: Standby;
  readonly #descriptors: Descriptors;
  #waiting: Waiting[] = [];

  constructor(standby: Standby, descriptors: Descriptors) {
    this.#standby = standby;
    this.#descriptors = descriptors;
  }

  /** Whether any retry waits. */
  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether another one may wait. */
  get hasRoom(): boolean {
    return this.#waiting.length < MAX_WAITING;
  }

  /** Whether munged has answered everything that a retry's process sent before; true for an unknown process. */
  isInOrder(fd: number, pid: number): boolean {
    return pid === 0 || this.#isDone(this.#before(fd, pid));
  }

  /** Makes a retry wait. Other retries of the process don't wait for it, but for the same first attempt. */
  add(retrying: RetryingClient, now: number): void {
    const { fd, peer: { pid } } = retrying.client;
    const earlier = this.#before(fd, pid);
    this.#isDone(earlier); // so that it does not wait for anything that arrives later
    this.#descriptors.setIdle(fd, true);
    this.#waiting.push({ ...retrying, earlier, deadline: now + MAX_WAIT_MS });
  }

  /** Removes the retries whose wait is over: those in order, and those whose time is up. */
  take(now: number): (RetryingClient & { readonly isInOrder: boolean })[] {
    const taken: (RetryingClient & { readonly isInOrder: boolean })[] = [];
    this.#waiting = this.#waiting.filter(({ client, retry, earlier, deadline }) => {
      const isInOrder = this.#isDone(earlier);
      if (!isInOrder && now < deadline) return true;
      taken.push({ client, retry, isInOrder });
      return false;
    });
    return taken;
  }

  #before(fd: number, pid: number): Earlier {
    return { fd, pid, serving: this.#standby.servingNow(), requests: null };
  }

  #isDone(earlier: Earlier): boolean {
    const { fd, pid, serving } = earlier;
    removeWhile(serving, (each) => this.#standby.hasServed(each));
    if (serving.length > 0) return false;
    const requests = earlier.requests ??= this.#descriptors.requestsOf(pid, fd, MAX_EARLIER + 1);
    if (requests.length > MAX_EARLIER) return false; // there may be more than were found
    removeWhile(requests, (request) => this.#descriptors.isAnswered(request));
    return requests.length === 0;
  }
}

/** Removes the last elements for as long as they satisfy a condition. */
function removeWhile<T>(elements: T[], condition: (element: T) => boolean): void {
  while (elements.length > 0 && condition(elements.at(-1)!)) elements.pop();
}
