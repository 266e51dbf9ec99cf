// One client's request and answer on its socket: reads, has request.ts decide, has delivery.ts write and close. Nothing here
// blocks: a client whose bytes have not arrived yet, or that does not read its answer, is parked.
import { KeptViews } from "../../../lib/bytes/kept_views.ts";
import { release, releaseMuch } from "../../../lib/bytes/memory.ts";
import { lastingMemory } from "../../../lib/os/anonymous_memory.ts";
import { EAGAIN, EINTR, errno, ptr, strerror } from "../../../lib/os/libc.ts";
import { peek, receive } from "../../../lib/os/socket.ts";
import {
  type Header,
  HEADER_LENGTH,
  MESSAGE_TYPE,
  parseHeader,
} from "../../../lib/protocol/message.ts";
import type { Logger } from "../../process/log.ts";
import type { WorkerCounters } from "../observe/counters.ts";
import type { Verdict } from "../replay_store/messages.ts";
import type { Deferred, Peer, RequestContext, WorkerContext } from "./context.ts";
import type { Descriptors } from "./descriptors.ts";
import { Delivery } from "./delivery.ts";
import { Incoming } from "./incoming.ts";
import { KeptExchange } from "./kept_exchange.ts";
import { type ParkedClient, ParkedClients, type ParkingLimits } from "./parked.ts";
import type { Poller } from "../../../lib/os/poller.ts";
import { answerRequest } from "./request.ts";
import type { Retries } from "./retries.ts";
import { StoreClients } from "./store_clients.ts";

/** Bytes read at once; a larger request gets its own memory. */
const READ_LENGTH = 262_144;
/** A request with more bytes may keep its worker busy for a while. */
const LONG_REQUEST = 4096;

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
  /** Has a client wait for its turn, when {@linkcode Exchange.take} is called. */
  awaitTurn(client: ParkedClient): void;
}

/** All exchanges of one worker. */
export class Exchange {
  readonly parked: ParkedClients;
  readonly kept: KeptExchange;
  #received = 0;
  #answered = 0;
  readonly #context: RequestContext;
  readonly #counters: WorkerCounters;
  readonly #descriptors: Descriptors;
  readonly #log: Logger;
  readonly #incoming: Incoming;
  readonly #delivery: Delivery;
  readonly #storeClients: StoreClients;
  readonly #retries: Retries;
  readonly #expectLong: ExchangeParts["expectLong"];
  readonly #mustWait: ExchangeParts["mustWait"];
  readonly #awaitTurn: ExchangeParts["awaitTurn"];

  readonly #input = new Uint8Array(lastingMemory(READ_LENGTH));
  readonly #inputAddress: number = ptr(this.#input);
  readonly #bodyViews = new KeptViews(this.#input.buffer as ArrayBuffer, HEADER_LENGTH);

  constructor(parts: ExchangeParts) {
    const { context, counters, descriptors, limits, poller, log, retries } = parts;
    this.#counters = counters;
    this.#descriptors = descriptors;
    this.#log = log;
    this.#retries = retries;
    this.#expectLong = parts.expectLong;
    this.#mustWait = parts.mustWait;
    this.#awaitTurn = parts.awaitTurn;
    this.parked = new ParkedClients(poller, limits, (client, reason) => this.#end(client, reason));
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
    this.#incoming = new Incoming(parked, log, context.maxPayload);
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
    return this.#received + this.kept.received;
  }

  /** Requests answered so far. */
  get answered(): number {
    return this.#answered + this.kept.answered;
  }

  /** Clients that are waited for, and connections that are kept. */
  get size(): number {
    return this.parked.size + this.kept.connections.size;
  }

  /** Who is at the other end of a connection that has become ready; undefined if it was closed earlier in this turn. */
  peerOf(fd: number): Peer | undefined {
    return this.kept.connections.get(fd)?.peer ?? this.parked.get(fd)?.peer;
  }

  /** Makes a client give up its descriptor; false if there is none. */
  makeRoom(): boolean {
    return this.kept.makeRoom() || this.parked.cutOffOldest();
  }

  /** Reads what a new client has sent, which is usually the whole request. */
  begin(fd: number, peer: Peer): void {
    if (this.parked.size > 0 && this.parked.isFull(peer.uid) && !this.#isShort(fd)) {
      this.#park(fd, peer, new Uint8Array(0));
      return;
    }
    this.#descriptors.setIdle(fd, false);
    const count = receive(fd, this.#inputAddress, READ_LENGTH);
    if (count <= 0) {
      if (count === 0) this.#incomplete(fd, peer, 0, null);
      else if (errno() === EAGAIN) this.#park(fd, peer, new Uint8Array(0));
      else this.#failReceive(fd, strerror(errno()));
      return;
    }
    this.#received += count;
    if (count < HEADER_LENGTH) {
      this.#park(fd, peer, this.#input.slice(0, count));
      return;
    }
    const header = this.#incoming.header(this.#input, peer);
    if (header === null) this.#descriptors.hangUp(fd);
    else if (count < HEADER_LENGTH + header.length) {
      const buffer = this.#incoming.begin(this.#input.subarray(0, count), header);
      this.parked.park(waiting(fd, peer, buffer, true, count));
    } else {
      if (header.length > LONG_REQUEST) this.#expectLong();
      this.#respond(fd, peer, header, this.#bodyViews.first(header.length), count);
    }
  }

  /** Parks a new client, from which nothing is read before its turn. */
  defer(fd: number, peer: Peer): ParkedClient {
    this.#descriptors.setIdle(fd, true);
    const client = waiting(fd, peer, new Uint8Array(0), false);
    this.parked.park(client);
    return client;
  }

  /** Continues with a client whose turn has come, unless it has been disconnected meanwhile. */
  take(client: ParkedClient): void {
    const { fd, peer, buffer } = client;
    if (this.parked.get(fd) !== client) return;
    this.parked.remove(client);
    if (client.kept !== undefined) {
      this.kept.takeTurn(client.kept);
      return;
    }
    if (buffer.length === 0) {
      this.begin(fd, peer);
      return;
    }
    const header = parseHeader(buffer); // which was valid
    const body = buffer.subarray(HEADER_LENGTH, HEADER_LENGTH + header.length);
    this.#respond(fd, peer, header, body, client.done);
    release(buffer);
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
    if (client.answer === null) this.#receiveMore(client);
    else this.#delivery.goOn(client, client.answer);
    if (this.parked.get(fd) !== client) release(client.buffer);
  }

  /** Ends an exchange after an exception, most likely for lack of memory. */
  abandon(fd: number, error: Error): void {
    this.#log.limited("serve client", "error", `Failed to serve client: ${error.stack}`);
    const client = this.parked.get(fd);
    if (client !== undefined) this.parked.remove(client);
    if (client?.deferred !== undefined) this.#forgetDeferred(client.deferred);
    const kept = this.kept.connections.get(fd);
    if (kept !== undefined) this.kept.end(kept);
    else if (this.#descriptors.isOwn(fd)) this.#descriptors.hangUp(fd);
  }

  /** Answers a complete request, `received` bytes with what came after it; `body` is valid only during the call. */
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

  /** Parks the client of a retry that must wait. */
  #awaitEarlier(fd: number, peer: Peer, retry: number, body: Uint8Array): void {
    const client = waiting(fd, peer, body.slice(), false);
    this.#retries.add({ client, retry }, performance.now());
    this.parked.park(client);
  }

  /** Answers the clients whose retries have waited long enough. @param answered called after each. */
  answerRetries(now: number, answered: (peer: Peer) => void): void {
    for (const { client, retry, isInOrder } of this.#retries.take(now)) {
      const { fd, peer, buffer } = client;
      if (this.parked.get(fd) !== client) continue; // disconnected meanwhile
      this.parked.remove(client);
      this.#descriptors.setIdle(fd, false);
      try {
        this.#answer(fd, peer, MESSAGE_TYPE.decodeRequest, retry, isInOrder, buffer);
      } catch (error) {
        this.abandon(fd, error as Error);
      }
      releaseMuch(buffer);
      answered(peer);
    }
  }

  /** @param isInOrder whether munged has answered what its process has sent before. */
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

  #park(fd: number, peer: Peer, received: Uint8Array): void {
    if (received.length < READ_LENGTH) this.#descriptors.setIdle(fd, true);
    this.parked.park(waiting(fd, peer, received, true));
  }

  /** Whether a client of which nothing has been read can be answered without keeping anything for it. */
  #isShort(fd: number): boolean {
    const count = peek(fd, this.#inputAddress, HEADER_LENGTH + LONG_REQUEST);
    if (count <= 0) return count === 0 || errno() !== EAGAIN; // then there is nothing to answer
    return count >= HEADER_LENGTH && !this.#incoming.isUnfinished(this.#input, count);
  }

  #receiveMore(client: ParkedClient): void {
    const { fd, peer } = client;
    const isAnsweredAtOnce = client.done === 0 && this.parked.isFull(peer.uid) && this.#isShort(fd);
    if (!isAnsweredAtOnce && !this.parked.mayGather(client)) return;
    this.#descriptors.setIdle(fd, false);
    const count = receive(fd, this.#inputAddress, READ_LENGTH);
    if (count <= 0) {
      if (count < 0 && (errno() === EAGAIN || errno() === EINTR)) {
        this.#descriptors.setIdle(fd, true);
        return;
      }
      const reason = count < 0 ? strerror(errno()) : null;
      this.parked.remove(client);
      if (reason === null) this.#incomplete(fd, peer, client.done, client.buffer);
      else this.#failReceive(fd, reason);
      return;
    }
    this.#received += count;
    this.#incoming.gather(client, this.#input.subarray(0, count));
    const isBegun = client.done >= HEADER_LENGTH;
    const header = isBegun ? this.#incoming.header(client.buffer, peer) : null;
    const end = isBegun ? header === null ? 0 : HEADER_LENGTH + header.length : HEADER_LENGTH;
    if (client.done < end) {
      if (count < READ_LENGTH) this.#descriptors.setIdle(fd, true);
      this.parked.limit();
      return;
    }
    if (header !== null && this.#mustWait(peer)) {
      this.parked.awaitTurn(client);
      this.#awaitTurn(client);
      return;
    }
    this.parked.remove(client);
    if (header === null) this.#descriptors.hangUp(fd);
    else {
      const body = client.buffer.subarray(HEADER_LENGTH, end);
      this.#respond(fd, peer, header, body, client.done);
    }
  }

  /** Disconnects a client that is no longer parked. */
  #end(client: ParkedClient, reason: string): void {
    if (client.deferred !== undefined) {
      this.#endDeferred(client, client.deferred, reason);
      return;
    }
    release(client.buffer);
    if (client.answer !== null) {
      this.#delivery.fail(client, client.answer, reason);
      return;
    }
    if (client.kept !== undefined) {
      this.kept.end(client.kept);
      return;
    }
    const part = client.done < HEADER_LENGTH ? "header" : "body";
    this.#incoming.failed(part, reason, `receive ${part}: ${reason}`);
    this.#descriptors.hangUp(client.fd);
  }

  #endDeferred(client: ParkedClient, deferred: Deferred, reason: string): void {
    this.#log.limited(`store: ${reason}`, "info", `Failed to await the replay store: ${reason}`);
    this.#forgetDeferred(deferred);
    this.#delivery.hangUp(client);
  }

  /** Forgets a client that waits for the store, and takes its request back. */
  #forgetDeferred(deferred: Deferred): void {
    this.#storeClients.forget(deferred);
    this.#delivery.tryToForget(() => deferred.abandon());
  }

  #incomplete(fd: number, peer: Peer, received: number, bytes: Uint8Array | null): void {
    this.#incoming.incomplete(peer, received, bytes);
    this.#descriptors.hangUp(fd);
  }

  #failReceive(fd: number, reason: string): void {
    this.#incoming.failed("header", reason);
    this.#descriptors.hangUp(fd);
  }
}

/** A client whose request has arrived in part. */
function waiting(
  fd: number,
  peer: Peer,
  buffer: Uint8Array,
  isWatched: boolean,
  done = buffer.length,
): ParkedClient {
  return { fd, peer: { ...peer }, deadline: 0, buffer, done, answer: null, isWatched };
}
