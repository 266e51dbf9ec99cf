// One client's request and answer: reception.ts reads, request.ts decides, delivery.ts writes and closes. Nothing here
// blocks: a client whose bytes have not arrived yet, or that does not read its answer, is parked.
import { release, releaseLarge } from "../../../lib/bytes/memory.ts";
import { type Header, HEADER_LENGTH, MESSAGE_TYPE } from "../../../lib/protocol/message.ts";
import type { Logger } from "../../process/log.ts";
import type { WorkerCounters } from "../observe/counters.ts";
import type { Verdict } from "../replay_store/messages.ts";
import type { Deferred, Peer, RequestContext, WorkerContext } from "./context.ts";
import type { Descriptors } from "./descriptors.ts";
import { Delivery } from "./delivery.ts";
import { KeptExchange } from "./kept_exchange.ts";
import { type ParkedClient, ParkedClients, type ParkingLimits, waitingClient } from "./parked.ts";
import type { Poller } from "../../../lib/os/poller.ts";
import { unexpectedText } from "../../../lib/os/system_text.ts";
import { Reception } from "./reception.ts";
import { answerRequest } from "./request.ts";
import type { Retries } from "./retries.ts";
import { StoreClients } from "./store_clients.ts";

/** What the exchanges need from their worker. */
export interface ExchangeParts {
  readonly context: WorkerContext;
  readonly counters: WorkerCounters;
  readonly descriptors: Descriptors;
  readonly limits: ParkingLimits;
  readonly poller: Poller;
  readonly retries: Retries;
  readonly log: Logger;
  /** Called before a request that may keep the worker busy is answered. */
  expectLong(): void;
  /** Whether a client must wait for its turn. */
  mustWait(peer: Peer): boolean;
  /** Makes a client wait for its turn, in which {@linkcode Exchange.take} is called. */
  awaitTurn(client: ParkedClient): void;
}

/** All exchanges of one worker. */
export class Exchange {
  readonly parked: ParkedClients;
  readonly kept: KeptExchange;
  readonly reception: Reception;
  #answered = 0;
  readonly #context: RequestContext;
  readonly #counters: WorkerCounters;
  readonly #descriptors: Descriptors;
  readonly #log: Logger;
  readonly #delivery: Delivery;
  readonly #storeClients: StoreClients;
  readonly #retries: Retries;

  constructor(parts: ExchangeParts) {
    const { context, counters, descriptors, limits, poller, log, retries } = parts;
    this.#counters = counters;
    this.#descriptors = descriptors;
    this.#log = log;
    this.#retries = retries;
    this.parked = new ParkedClients(
      poller,
      limits,
      (client, reason) => this.#end(client, reason),
      () => this.kept.connections.unparked,
    );
    const { parked } = this;
    const { replayCache } = context;
    this.#delivery = new Delivery({
      descriptors,
      parked,
      log,
      replayCache,
      kept: () => this.kept,
    });
    this.#context = { ...context, allocate: (length) => this.#delivery.allocate(length) };
    this.reception = new Reception({
      ...parts,
      parked,
      maxPayload: context.maxPayload,
      respond: (fd, peer, header, body, received) =>
        this.#respond(fd, peer, header, body, received),
    });
    this.#storeClients = new StoreClients(parked);
    this.kept = new KeptExchange({
      ...parts,
      clients: limits.clients,
      parked,
      defer: (connection, deferred, type, begun) => {
        const { fd, peer } = connection;
        this.#storeClients.add(fd, peer, connection, { deferred, type, begun });
      },
      abandon: (fd, error) => this.abandon(fd, error),
      forget: (remembered) => this.#delivery.forget(remembered),
    });
  }

  /** Bytes received so far. */
  get received(): number {
    return this.reception.received + this.kept.received;
  }

  /** Requests answered so far. */
  get answered(): number {
    return this.#answered + this.kept.answered;
  }

  /** Number of parked clients and kept connections. */
  get size(): number {
    return this.parked.size + this.kept.connections.size;
  }

  /** The client of a connection that has become ready; undefined if it was closed earlier in this turn. */
  peerOf(fd: number): Peer | undefined {
    return this.kept.connections.get(fd)?.peer ?? this.parked.get(fd)?.peer;
  }

  /** Makes a client give up its descriptor; false if there is none. */
  makeRoom(): boolean {
    return this.kept.makeRoom() || this.parked.cutOffOldest();
  }

  /** Continues with a client whose turn has come, unless it has been disconnected. */
  take(client: ParkedClient): void {
    if (this.parked.get(client.fd) !== client) return;
    this.parked.remove(client);
    if (client.kept !== undefined) this.kept.takeTurn(client.kept);
    else this.reception.take(client);
  }

  /** Continues with a parked client, or a kept connection, that has become ready. */
  resume(fd: number): void {
    const kept = this.kept.connections.get(fd);
    if (kept !== undefined && !kept.isParked) {
      this.kept.resume(kept);
      return;
    }
    const client = this.parked.get(fd);
    if (client === undefined || !client.isWatched) return; // disconnected earlier in this turn
    if (client.answer === null) this.reception.readMore(client);
    else this.#delivery.sendMore(client, client.answer);
    if (this.parked.get(fd) !== client) release(client.buffer);
  }

  /** Ends an exchange after an exception, most likely for lack of memory. */
  abandon(fd: number, error: Error): void {
    this.#log.limited("serve client", "error", `Failed to serve client: ${unexpectedText(error)}`);
    const client = this.parked.get(fd);
    if (client !== undefined) this.parked.remove(client);
    if (client?.deferred !== undefined) this.#forgetDeferred(client.deferred);
    const kept = this.kept.connections.get(fd);
    if (kept !== undefined) this.kept.end(kept);
    else if (this.#descriptors.isOwn(fd)) this.#descriptors.hangUp(fd);
  }

  /** Answers a complete request. `body` is valid only during the call; `received` also counts bytes after the request. */
  #respond(fd: number, peer: Peer, header: Header, body: Uint8Array, received: number): void {
    if (header.type === MESSAGE_TYPE.keepRequest) {
      if (received === HEADER_LENGTH + header.length) this.kept.keep(fd, peer, header.retry);
      else {
        this.#log.client(
          peer.uid,
          "kept early",
          "Received more than a keep request before its answer",
        );
        this.#descriptors.hangUp(fd);
      }
      return;
    }
    const { type, retry } = header;
    const isInOrder = retry === 0 || type !== MESSAGE_TYPE.decodeRequest ||
      this.#retries.isInOrder(fd, peer.pid);
    if (isInOrder || !this.#retries.hasRoom) {
      this.#answer(fd, peer, type, retry, isInOrder, body);
    } else this.#awaitEarlier(fd, peer, retry, body);
  }

  /** Parks the client of a retry that must wait for earlier requests. */
  #awaitEarlier(fd: number, peer: Peer, retry: number, body: Uint8Array): void {
    const client = waitingClient(fd, peer, body.slice(), false);
    this.#retries.add({ client, retry }, performance.now());
    this.parked.park(client);
  }

  /** Answers the clients whose retries have waited long enough. @param answered called after each. */
  answerRetries(now: number, answered: (peer: Peer) => void): void {
    for (const { client, retry, isInOrder } of this.#retries.take(now)) {
      const { fd, peer, buffer } = client;
      if (this.parked.get(fd) !== client) continue; // disconnected
      this.parked.remove(client);
      this.#descriptors.setIdle(fd, false);
      try {
        this.#answer(fd, peer, MESSAGE_TYPE.decodeRequest, retry, isInOrder, buffer);
      } catch (error) {
        this.abandon(fd, error as Error);
      }
      releaseLarge(buffer);
      answered(peer);
    }
  }

  /** @param isInOrder whether munged has answered everything that the process has sent before. */
  #answer(
    fd: number,
    peer: Peer,
    type: number,
    retry: number,
    isInOrder: boolean,
    body: Uint8Array,
  ): void {
    const begun = this.#counters.begin();
    this.#answered++;
    const answer = answerRequest(type, retry, isInOrder, body, peer, this.#context);
    if (answer === null) {
      this.#counters.cutOff();
      this.#descriptors.hangUp(fd);
      return;
    }
    if (answer.bytes === null) {
      const request = { deferred: answer, type, begun };
      this.#storeClients.add(fd, peer, undefined, request);
      return;
    }
    this.#counters.answered(type, answer.bytes[HEADER_LENGTH]!);
    this.#delivery.begin(fd, peer, answer);
    if (begun !== 0) this.#counters.end(begun);
  }

  /** The client whose answer waits for the store's answer to a question; undefined if it is gone. */
  deferredClient(question: number): ParkedClient | undefined {
    return this.#storeClients.get(question);
  }

  /** Answers that client. */
  decide(question: number, verdict: Verdict): void {
    const { client, deferred, type, begun } = this.#storeClients.take(question);
    const answer = deferred.decide(verdict);
    this.#counters.answered(type, answer.bytes[HEADER_LENGTH]!);
    if (client.kept !== undefined) this.kept.decided(client.kept, answer);
    else this.#delivery.begin(client.fd, client.peer, answer);
    if (begun !== 0) this.#counters.end(begun);
  }

  /** Disconnects a client that is no longer parked. */
  #end(client: ParkedClient, reason: string): void {
    if (client.deferred !== undefined) {
      this.#endDeferred(client, client.deferred, reason);
      return;
    }
    release(client.buffer);
    if (client.answer !== null) this.#delivery.fail(client, client.answer, reason);
    else if (client.kept !== undefined) this.kept.end(client.kept);
    else this.reception.giveUp(client, reason);
  }

  #endDeferred(client: ParkedClient, deferred: Deferred, reason: string): void {
    this.#log.limited(`store: ${reason}`, "info", `Failed to wait for the replay store: ${reason}`);
    this.#forgetDeferred(deferred);
    this.#delivery.hangUp(client);
  }

  /** Forgets a client that waits for the store, and abandons its request. */
  #forgetDeferred(deferred: Deferred): void {
    this.#storeClients.forget(deferred);
    this.#delivery.tryToForget(() => deferred.abandon());
  }
}
