// Clients whose answer waits for the store: which question each of them waits for. ../replay_store/questions.ts asks the
// questions.
import type { Deferred, Peer } from "./context.ts";
import type { KeptConnection } from "./kept_connections.ts";
import type { ParkedClient, ParkedClients } from "./parked.ts";

/** A request that waits for the store. */
export interface DeferredRequest {
  readonly deferred: Deferred;
  readonly type: number;
  /** When it began, or 0 if it is not timed. */
  readonly begun: number;
}

/** The clients of one worker that wait for the store, all of which are parked. */
export class StoreClients {
  readonly #parked: ParkedClients;
  readonly #requests = new Map<number, DeferredRequest & { readonly client: ParkedClient }>();

  constructor(parked: ParkedClients) {
    this.#parked = parked;
  }

  /** Parks a client until the store's verdict. */
  add(fd: number, peer: Peer, kept: KeptConnection | undefined, request: DeferredRequest): void {
    const { deferred } = request;
    const client: ParkedClient = {
      fd,
      peer: { ...peer },
      deadline: 0,
      buffer: deferred.held,
      done: 0,
      answer: null,
      deferred,
      ...(kept === undefined ? {} : { kept }),
      isWatched: false,
    };
    this.#requests.set(deferred.question, { ...request, client });
    this.#parked.park(client);
  }

  /** The client that waits for the answer to a question; undefined if it is gone. */
  get(question: number): ParkedClient | undefined {
    return this.#requests.get(question)?.client;
  }

  /** Takes a client and its request out, because the store has answered. */
  take(question: number): DeferredRequest & { readonly client: ParkedClient } {
    const request = this.#requests.get(question)!;
    this.#requests.delete(question);
    this.#parked.remove(request.client);
    return request;
  }

  /** Forgets a client that is gone. */
  forget({ question }: Deferred): void {
    this.#requests.delete(question);
  }
}
