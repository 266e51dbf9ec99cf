// The kept connections of a worker: which are kept, what is read from them, and when they end. The kernel says who sent
// each request: only the process that connected gets an answer (docs/protocol.md, "Several requests over one connection").
// A client that munged has to wait for is parked like any other, and exchange.ts continues with it. kept_work.ts processes
// the requests, and kept_answers.ts sends the answers.
import { newBytes } from "../../../lib/bytes/memory.ts";
import { KeptViews } from "../../../lib/bytes/kept_views.ts";
import type { Poller } from "../../../lib/os/poller.ts";
import { permanentMemory } from "../../../lib/os/anonymous_memory.ts";
import { EAGAIN, EINTR, errno, ptr, strerror } from "../../../lib/os/libc.ts";
import {
  enablePassCred,
  hasInput,
  receiveFrom,
  sender,
  supportsPassCred,
} from "../../../lib/os/sender.ts";
import { send } from "../../../lib/os/socket.ts";
import { formatKeepResponse } from "../../../lib/protocol/message.ts";
import type { Logger } from "../../process/log.ts";
import type { WorkerCounters } from "../observe/counters.ts";
import type { Remembered } from "../replay/cache.ts";
import type { Answer, Deferred, Peer, WorkerContext } from "./context.ts";
import type { Descriptors } from "./descriptors.ts";
import { KEEP_TERMS, type KeptConnection, KeptConnections } from "./kept_connections.ts";
import { KeptAnswers } from "./kept_answers.ts";
import { isComplete, KeptWork } from "./kept_work.ts";
import type { ParkedClient, ParkedClients } from "./parked.ts";
import type { Retries } from "./retries.ts";

/** Bytes read at once: several requests of maximum length. */
const READ_LENGTH = 65_536;
const NOTHING = new Uint8Array(0);

/** What this needs from its worker, and from the exchange of all clients. */
export interface KeptExchangeParts {
  readonly context: WorkerContext;
  readonly counters: WorkerCounters;
  readonly descriptors: Descriptors;
  readonly poller: Poller;
  readonly log: Logger;
  /** Number of clients that the worker may serve at a time. */
  readonly clients: number;
  readonly retries: Retries;
  /** Called before requests that may keep the worker busy are answered. */
  expectLong(): void;
  /** Whether a client must wait for its turn. */
  mustWait(peer: Peer): boolean;
  /** Makes a client wait for its turn, in which {@linkcode KeptExchange.takeTurn} is called. */
  awaitTurn(client: ParkedClient): void;
  readonly parked: ParkedClients;
  /** Makes a connection wait for the store; {@linkcode KeptExchange.decided} is then called. */
  defer(connection: KeptConnection, deferred: Deferred, type: number, begun: number): void;
  /** Ends a connection after an exception. */
  abandon(fd: number, error: Error): void;
  /** Removes the replay entry of an answer that was not delivered. */
  forget(remembered: Remembered): void;
}

/** All kept connections of one worker, and what goes over them. */
export class KeptExchange {
  readonly connections: KeptConnections;
  /** Bytes received so far. */
  received = 0;
  readonly #parts: KeptExchangeParts;
  readonly #answers: KeptAnswers;
  readonly #work: KeptWork;
  #isDraining = false;

  readonly #input = new Uint8Array(permanentMemory(READ_LENGTH));
  readonly #inputAddress: number = ptr(this.#input);
  readonly #inputViews = new KeptViews(this.#input.buffer as ArrayBuffer);

  constructor(parts: KeptExchangeParts) {
    this.#parts = parts;
    const { context, counters, log, parked, retries, forget } = parts;
    this.connections = new KeptConnections(parts.clients);
    this.#answers = new KeptAnswers({
      log,
      parked,
      forget,
      suspend: (connection) => {
        this.#work.keepRest(connection);
        this.#suspend(connection);
      },
      end: (connection) => this.end(connection),
    });
    this.#work = new KeptWork({
      context,
      counters,
      log,
      retries,
      answers: this.#answers,
      settle: (connection, isBegun) => this.#settle(connection, isBegun),
      awaitTurn: (connection) => this.#awaitTurn(connection),
      defer: (connection, deferred, type, begun) => {
        this.#suspend(connection);
        parts.defer(connection, deferred, type, begun);
      },
      refuse: (connection, kind, text) => this.#refuse(connection, kind, text),
      end: (connection) => this.end(connection),
    });
  }

  /** Requests answered so far. */
  get answered(): number {
    return this.#work.answered;
  }

  /** Keeps a client's connection, or closes it if it can't be kept. */
  keep(fd: number, peer: Peer, retry: number): void {
    const { descriptors, counters, parked, poller, log } = this.#parts;
    if (!supportsPassCred || this.#isDraining || !this.connections.hasRoom(peer.uid)) {
      counters.notKept();
      descriptors.hangUp(fd);
      return;
    }
    enablePassCred(fd); // before the answer, after which the client sends its requests
    const response = formatKeepResponse(KEEP_TERMS, retry);
    if (send(fd, ptr(response), response.length) !== response.length) {
      log.limited("keep", "info", `Failed to send message: ${strerror(errno())}`);
      descriptors.hangUp(fd);
      return;
    }
    this.connections.add(fd, peer, performance.now());
    counters.kept(this.connections.size);
    descriptors.setIdle(fd, true);
    poller.add(fd, "read");
    parked.limit();
  }

  /** Reads and answers what has arrived, unless the user has to wait. */
  resume(connection: KeptConnection): void {
    if (this.#parts.mustWait(connection.peer)) this.#awaitTurn(connection);
    else this.#receive(connection);
  }

  /** Continues with a connection that is no longer parked, because its turn has come. */
  takeTurn(connection: KeptConnection): void {
    this.#return(connection);
    if (isComplete(connection.rest)) this.#work.answerAll(connection, connection.rest);
    else this.#receive(connection);
  }

  /** Continues with a connection that is no longer parked, because its client has read its answers. */
  sent(connection: KeptConnection): void {
    connection.undelivered = [];
    this.#return(connection);
    this.connections.extend(connection, performance.now());
    this.#answerRest(connection);
  }

  /** Continues with a connection that is no longer parked, with the answer that it waited for. */
  decided(connection: KeptConnection, answer: Answer): void {
    this.#return(connection);
    this.connections.extend(connection, performance.now());
    this.#work.begin(connection);
    if (this.#answers.sendAlone(connection, answer)) this.#answerRest(connection);
  }

  /** Answers what had arrived with the requests before it, unless the user has to wait. */
  #answerRest(connection: KeptConnection): void {
    const { peer, rest } = connection;
    if (isComplete(rest) && this.#parts.mustWait(peer)) this.#awaitTurn(connection);
    else this.#work.answerAll(connection, connection.rest);
  }

  /** Ends a connection, parked or not, and forgets the credentials in answers that the client has not received. */
  end(connection: KeptConnection): void {
    const { descriptors, counters, parked, poller, forget } = this.#parts;
    const { fd } = connection;
    if (this.connections.get(fd) !== connection) return;
    connection.undelivered.forEach(({ remembered }) => forget(remembered));
    this.connections.remove(connection);
    counters.kept(this.connections.size);
    const client = parked.get(fd);
    if (client !== undefined) parked.remove(client);
    else if (!connection.isParked) poller.remove(fd);
    descriptors.hangUp(fd);
  }

  /** Closes the connections whose time is over. */
  cutOff(now: number): void {
    for (const connection of this.connections.overdue(now)) {
      if (hasInput(connection.fd)) continue; // it is about to be read
      if (connection.rest.length > 0) this.#refuse(connection, "incomplete", "Timed-out");
      else this.end(connection);
    }
  }

  /** Closes an idle connection to make room; false if there is none. */
  makeRoom(): boolean {
    const connection = this.connections.leastUseful();
    if (connection === undefined || hasInput(connection.fd)) return false;
    this.end(connection);
    return true;
  }

  /** Answers what has arrived, then closes all connections, and keeps none until {@linkcode keepAgain}. */
  drain(): void {
    this.#isDraining = true;
    for (const connection of [...this.connections]) {
      if (connection.isParked) continue; // closed once it is not
      try {
        if (hasInput(connection.fd)) this.#receive(connection);
        else this.end(connection);
      } catch (error) {
        this.#parts.abandon(connection.fd, error as Error);
      }
    }
  }

  /** Keeps connections again. */
  keepAgain(): void {
    this.#isDraining = false;
  }

  /** Makes a connection wait for its turn. */
  #awaitTurn(connection: KeptConnection): void {
    const { fd, peer } = connection;
    this.#suspend(connection);
    const client: ParkedClient = {
      fd,
      peer,
      deadline: 0,
      buffer: NOTHING,
      done: 0,
      answer: null,
      kept: connection,
      isWatched: false,
    };
    this.#parts.parked.park(client);
    this.#parts.awaitTurn(client);
  }

  /** Stops reading from a connection that will be parked. */
  #suspend(connection: KeptConnection): void {
    this.#parts.poller.remove(connection.fd);
    this.connections.park(connection, performance.now());
  }

  #return(connection: KeptConnection): void {
    this.connections.unpark(connection, performance.now());
    this.#parts.poller.add(connection.fd, "read");
  }

  #receive(connection: KeptConnection): void {
    const { descriptors, expectLong } = this.#parts;
    const { fd, peer, rest } = connection;
    descriptors.setIdle(fd, false);
    const count = receiveFrom(fd, this.#inputAddress, READ_LENGTH);
    if (count <= 0) {
      if (count < 0 && (errno() === EAGAIN || errno() === EINTR)) this.#settle(connection, true);
      else this.end(connection);
      return;
    }
    this.received += count;
    connection.hasMore = count === READ_LENGTH;
    connection.inFlight = 0;
    if (sender.uid !== peer.uid || sender.gid !== peer.gid || sender.pid !== peer.pid) {
      this.#refuse(
        connection,
        "sender",
        `Refused request of PID=${sender.pid} UID=${sender.uid} GID=${sender.gid} ` +
          `over the connection of PID=${peer.pid} UID=${peer.uid} GID=${peer.gid}`,
      );
      return;
    }
    if (count > KEEP_TERMS.maxLength) expectLong();
    if (rest.length === 0) {
      this.#work.answerAll(connection, this.#inputViews.first(count));
      return;
    }
    const joined = newBytes(rest.length + count);
    joined.set(rest);
    joined.set(this.#inputViews.first(count), rest.length);
    this.#work.answerAll(connection, joined);
  }

  /** Waits for the next request, or for the rest of one. @param isBegun whether its time is already running. */
  #settle(connection: KeptConnection, isBegun: boolean): void {
    if (this.#isDraining) {
      this.end(connection);
      return;
    }
    const { fd, hasMore } = connection;
    if (!isBegun) this.connections.extend(connection, performance.now());
    if (!hasMore || !hasInput(fd)) this.#parts.descriptors.setIdle(fd, true);
  }

  /** Ends a connection, and logs why. */
  #refuse(connection: KeptConnection, kind: string, text: string): void {
    const { counters, log } = this.#parts;
    if (this.connections.get(connection.fd) !== connection) return; // ended already
    counters.cutOff();
    log.client(connection.peer.uid, `kept ${kind}`, `Closed kept connection: ${text}`);
    this.end(connection);
  }
}
