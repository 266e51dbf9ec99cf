// Requests over a kept connection, one after another, in order. The kernel says who sent each of them: only the process
// that connected gets an answer (docs/protocol.md, "Several requests over one connection"). Whoever has to be waited for is
// parked, as any client; exchange.ts continues with it.
import { copyBytes, newBytes } from "../../../lib/bytes/memory.ts";
import { KeptViews } from "../../../lib/bytes/kept_views.ts";
import { readU32 } from "../../../lib/bytes/integers.ts";
import type { Poller } from "../../../lib/os/poller.ts";
import { MungeError } from "../../../lib/errors.ts";
import { EAGAIN, EINTR, errno, fixedMemory, ptr, strerror } from "../../../lib/os/libc.ts";
import {
  hasInput,
  knowsSenders,
  passSenders,
  receiveFrom,
  sender,
} from "../../../lib/os/sender.ts";
import { send } from "../../../lib/os/socket.ts";
import { formatKeepResponse, HEADER_LENGTH, parseHeader } from "../../../lib/protocol/message.ts";
import type { Logger } from "../../process/log.ts";
import type { WorkerCounters } from "../observe/counters.ts";
import type { Remembered } from "../replay/cache.ts";
import type { Answer, Deferred, Peer, RequestContext } from "./context.ts";
import type { Descriptors } from "./descriptors.ts";
import { KEEP_TERMS, type KeptConnection, KeptConnections } from "./kept.ts";
import type { ParkedClient, ParkedClients } from "./parked.ts";
import { answerRequest } from "./request.ts";

/** Bytes read at once: some requests of the greatest length. */
const READ_LENGTH = 65_536;
/** Bytes of answers sent at once; a longer answer is sent alone. */
const BATCH_LENGTH = 65_536;
const OUTPUT_LENGTH = 131_072;
const LONGEST = HEADER_LENGTH + KEEP_TERMS.maxLength;
/** Offset of a header's length field. */
const LENGTH = 7;
const NOTHING = new Uint8Array(0);
const NO_ANSWER: Answer = { bytes: NOTHING, remembered: null };
/** Milliseconds after which a connection waits for its next turn, whatever else it has sent. */
const TURN_MS = 1;

/** What this needs from its worker, and from the exchange of all clients. */
export interface KeptExchangeParts {
  readonly context: Omit<RequestContext, "allocate">;
  readonly counters: WorkerCounters;
  readonly descriptors: Descriptors;
  readonly poller: Poller;
  readonly log: Logger;
  /** Number of clients that the worker may serve at a time. */
  readonly clients: number;
  /** Called before requests that may keep the worker busy are answered. */
  expectLong(): void;
  /** Whether a client must wait for its turn, when {@linkcode KeptExchange.takeTurn} is called. */
  mustWait(client: ParkedClient): boolean;
  /** Has a client wait for its turn in any case. */
  awaitTurn(client: ParkedClient): void;
  readonly parked: ParkedClients;
  /** Has a connection wait for the store, and {@linkcode KeptExchange.decided} called. */
  defer(connection: KeptConnection, deferred: Deferred, type: number, begun: number): void;
  /** Ends a connection after an exception. */
  abandon(fd: number, error: Error): void;
  /** Removes the replay entry of an answer that was not delivered. */
  forget(remembered: Remembered): void;
}

/** All kept connections of one worker, and what goes over them. */
export class KeptExchange {
  readonly connections: KeptConnections;
  /** Bytes received and requests answered so far. */
  received = 0;
  answered = 0;
  readonly #parts: KeptExchangeParts;
  readonly #context: RequestContext;
  #isDraining = false;

  readonly #input = new Uint8Array(fixedMemory(READ_LENGTH));
  readonly #inputAddress: number = ptr(this.#input);
  readonly #inputViews = new KeptViews(this.#input.buffer as ArrayBuffer);
  /** The request being answered, moved here because there are views of its body. */
  readonly #request = new Uint8Array(fixedMemory(LONGEST));
  readonly #bodyViews = new KeptViews(this.#request.buffer as ArrayBuffer, HEADER_LENGTH);
  readonly #output = fixedMemory(OUTPUT_LENGTH);
  readonly #outputViews = new KeptViews(this.#output);
  /** Answers not sent yet. */
  readonly #batch = new Uint8Array(fixedMemory(BATCH_LENGTH));
  readonly #batchAddress: number = ptr(this.#batch);
  #batched = 0;
  /** What one connection has sent, and how much of it is answered. */
  #bytes: Uint8Array = NOTHING;
  #at = 0;

  constructor(parts: KeptExchangeParts) {
    this.#parts = parts;
    const allocate = (length: number) =>
      length <= OUTPUT_LENGTH ? this.#outputViews.first(length) : newBytes(length);
    this.#context = { ...parts.context, allocate };
    this.connections = new KeptConnections(parts.clients);
  }

  /** Keeps a client's connection, or closes it if that can't be. */
  keep(fd: number, peer: Peer, retry: number): void {
    const { descriptors, counters, poller, log } = this.#parts;
    if (!knowsSenders || this.#isDraining || !this.connections.hasRoom(peer.uid)) {
      counters.notKept();
      descriptors.hangUp(fd);
      return;
    }
    passSenders(fd); // before the answer, after which the client sends its requests
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
  }

  /** Reads and answers what has arrived, unless its user has to wait. */
  resume(connection: KeptConnection): void {
    const client = waitingForTurn(connection);
    if (this.#parts.mustWait(client)) this.#park(connection, client);
    else this.#receive(connection);
  }

  /** Continues with a connection that is no longer parked, because its turn has come. */
  takeTurn(connection: KeptConnection): void {
    this.#return(connection);
    if (isComplete(connection.rest)) this.#work(connection, connection.rest);
    else this.#receive(connection);
  }

  /** Continues with a connection that is no longer parked, because its client has read its answers. */
  sent(connection: KeptConnection): void {
    connection.undelivered = [];
    this.#return(connection);
    this.#goOn(connection);
  }

  /** Continues with a connection that is no longer parked, with the answer that it waited for. */
  decided(connection: KeptConnection, answer: Answer): void {
    this.#return(connection);
    this.#bytes = connection.rest;
    this.#at = 0;
    if (this.#sendAlone(connection, answer)) this.#goOn(connection);
  }

  /** Answers what had arrived with the requests before it, unless its user has to wait. */
  #goOn(connection: KeptConnection): void {
    const client = waitingForTurn(connection);
    if (isComplete(connection.rest) && this.#parts.mustWait(client)) this.#park(connection, client);
    else this.#work(connection, connection.rest);
  }

  /** Records that a parked client has read the first `count` bytes of its answers. */
  delivered(connection: KeptConnection, count: number): void {
    connection.undelivered = connection.undelivered.filter(({ end }) => end > count);
  }

  /** Ends a connection, parked or not, and takes back what its client has not received. */
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
      if (hasInput(connection.fd)) continue; // which is about to be read
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

  #park(connection: KeptConnection, client: ParkedClient): void {
    this.#parts.poller.remove(connection.fd);
    connection.isParked = true;
    this.#parts.parked.park(client);
  }

  #return(connection: KeptConnection): void {
    connection.isParked = false;
    this.connections.extend(connection, performance.now()); // it was not its fault that it was not read
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
      this.#work(connection, this.#inputViews.first(count));
      return;
    }
    const joined = newBytes(rest.length + count);
    joined.set(rest);
    joined.set(this.#inputViews.first(count), rest.length);
    this.#work(connection, joined);
  }

  /** Answers the complete requests in `bytes`, for no longer than a turn. */
  #work(connection: KeptConnection, bytes: Uint8Array): void {
    const end = performance.now() + TURN_MS;
    this.#batched = 0; // what an exception has left must never reach another client
    this.#bytes = bytes;
    this.#at = 0;
    for (let length; (length = requestLength(bytes, this.#at)) !== null;) {
      if (length > LONGEST || connection.inFlight === KEEP_TERMS.maxInFlight) {
        const what = length > LONGEST ? `Size ${length - HEADER_LENGTH}` : "Requests in flight";
        const limit = length > LONGEST ? KEEP_TERMS.maxLength : KEEP_TERMS.maxInFlight;
        this.#flush(connection);
        this.#refuse(connection, "terms", `${what} exceeded maximum of ${limit}`);
        return;
      }
      if (this.#at + length > bytes.length) break;
      if (this.#at > 0 && performance.now() > end) {
        if (this.#flush(connection)) this.#yield(connection);
        return;
      }
      copyBytes(this.#request, 0, bytes, this.#at, this.#at + length);
      this.#at += length;
      connection.inFlight++;
      if (!this.#answer(connection, length)) return;
    }
    if (!this.#flush(connection)) return;
    const isBegun = this.#at === 0 && connection.rest.length > 0;
    this.#keepRest(connection);
    this.#settle(connection, isBegun);
  }

  /** Has a connection wait for its next turn with the rest of its requests. */
  #yield(connection: KeptConnection): void {
    this.#suspend(connection);
    const client = waitingForTurn(connection);
    this.#parts.parked.park(client);
    this.#parts.awaitTurn(client);
  }

  #keepRest(connection: KeptConnection): void {
    const isEmpty = this.#at === this.#bytes.length;
    connection.rest = isEmpty ? NOTHING : this.#bytes.slice(this.#at);
  }

  /** Answers the request in `#request`. Returns false if the connection can't go on now, or has ended. */
  #answer(connection: KeptConnection, length: number): boolean {
    const { counters, log } = this.#parts;
    const { peer } = connection;
    let header;
    try {
      header = parseHeader(this.#request);
    } catch (error) {
      if (!(error instanceof MungeError)) throw error;
      this.#flush(connection);
      this.#refuse(connection, "header", error.message);
      return false;
    }
    const begun = counters.begin();
    counters.overKept();
    this.answered++;
    const body = this.#bodyViews.first(length - HEADER_LENGTH);
    const answer = answerRequest(header.type, header.retry, body, peer, this.#context);
    if (answer === null) {
      counters.cutOff();
      this.#flush(connection);
      this.end(connection);
      return false;
    }
    if (answer.bytes === null) {
      if (this.#flush(connection)) {
        this.#suspend(connection);
        this.#parts.defer(connection, answer, header.type, begun);
        return false;
      }
      answer.abandon(); // its client does not read, or is gone
      this.end(connection);
      log.limited("kept", "info", "Failed to send message: Client does not read");
      return false;
    }
    counters.answered(header.type, answer.bytes[HEADER_LENGTH]!);
    const goesOn = this.#append(connection, answer);
    if (begun !== 0) counters.end(begun);
    return goesOn;
  }

  /** Puts an answer behind those that wait to be sent, or sends all of them if there is no room. */
  #append(connection: KeptConnection, answer: Answer): boolean {
    const { bytes, remembered } = answer;
    if (this.#batched + bytes.length > BATCH_LENGTH) {
      if (bytes.length > BATCH_LENGTH) return this.#sendBoth(connection, answer);
      if (!this.#flush(connection, answer)) return false;
    }
    copyBytes(this.#batch, this.#batched, bytes, 0, bytes.length);
    this.#batched += bytes.length;
    if (remembered !== null) connection.undelivered.push({ remembered, end: this.#batched });
    return true;
  }

  #sendBoth(connection: KeptConnection, answer: Answer): boolean {
    return this.#flush(connection, answer) && this.#sendAlone(connection, answer);
  }

  #sendAlone(connection: KeptConnection, { bytes, remembered }: Answer): boolean {
    if (remembered !== null) connection.undelivered.push({ remembered, end: bytes.length });
    return this.#send(connection, bytes, ptr(bytes));
  }

  /**
   * Sends the answers that wait.
   *
   * @param next an answer that is sent after them if the client does not read now.
   * @returns false if the client does not read, or is gone.
   */
  #flush(connection: KeptConnection, next?: Answer): boolean {
    const length = this.#batched;
    if (length === 0) return true;
    this.#batched = 0;
    return this.#send(connection, this.#batch, this.#batchAddress, next, length);
  }

  /** Sends bytes; parks the connection with those that the client does not read now, and `next` after them. */
  #send(
    connection: KeptConnection,
    bytes: Uint8Array,
    address: number,
    next: Answer = NO_ANSWER,
    length = bytes.length,
  ): boolean {
    const { fd, peer } = connection;
    const count = send(fd, address, length);
    if (count === length) {
      if (connection.undelivered.length > 0) connection.undelivered = [];
      return true;
    }
    if (count < 0 && errno() !== EAGAIN) {
      const reason = strerror(errno());
      this.#parts.log.limited(`send: ${reason}`, "info", `Failed to send message: ${reason}`);
      if (next.remembered !== null) this.#parts.forget(next.remembered);
      this.end(connection);
      return false;
    }
    const done = Math.max(count, 0);
    const buffer = newBytes(length - done + next.bytes.length);
    buffer.set(bytes.subarray(done, length));
    buffer.set(next.bytes, length - done);
    this.delivered(connection, done);
    const { undelivered } = connection;
    for (const each of undelivered) each.end -= done;
    if (next.remembered !== null) {
      undelivered.push({ remembered: next.remembered, end: buffer.length });
    }
    this.#suspend(connection);
    this.#parts.parked.park({
      fd,
      peer,
      deadline: 0,
      buffer,
      done: 0,
      answer: { bytes: buffer, remembered: null },
      kept: connection,
      isWatched: true,
    });
    return false;
  }

  /** Stops reading from a connection that is going to be parked. */
  #suspend(connection: KeptConnection): void {
    this.#keepRest(connection);
    this.#parts.poller.remove(connection.fd);
    connection.isParked = true;
  }

  /** Waits for the next request, or for the rest of one; one that is `isBegun` already gets no more time. */
  #settle(connection: KeptConnection, isBegun: boolean): void {
    if (this.#isDraining) {
      this.end(connection);
      return;
    }
    const { fd, rest } = connection;
    if (!isBegun) this.connections.extend(connection, performance.now());
    this.#parts.descriptors.setIdle(fd, rest.length === 0);
  }

  /** Logs why a connection ends that its client has not closed. */
  #refuse(connection: KeptConnection, kind: string, text: string): void {
    const { counters, log } = this.#parts;
    if (this.connections.get(connection.fd) !== connection) return; // ended already
    counters.cutOff();
    log.client(connection.peer.uid, `kept ${kind}`, `Closed kept connection: ${text}`);
    this.end(connection);
  }
}

/** A kept connection as a client that waits for its turn. */
function waitingForTurn(connection: KeptConnection): ParkedClient {
  const { fd, peer } = connection;
  return {
    fd,
    peer,
    deadline: 0,
    buffer: NOTHING,
    done: 0,
    answer: null,
    kept: connection,
    isWatched: false,
  };
}

/** Whether bytes contain a whole request. */
function isComplete(bytes: Uint8Array): boolean {
  const length = requestLength(bytes, 0);
  return length !== null && length <= bytes.length;
}

/** Length of the request at `at` with its header; null if that has not arrived. */
function requestLength(bytes: Uint8Array, at: number): number | null {
  if (bytes.length - at < HEADER_LENGTH) return null;
  return HEADER_LENGTH + readU32(bytes, at + LENGTH);
}
