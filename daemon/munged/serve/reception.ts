// Reads requests from clients' sockets. A request that has arrived completely is passed on at once, from memory that is
// reused; otherwise, the client is parked with what has arrived, which incoming.ts gathers. kept_exchange.ts reads kept
// connections.
import { KeptViews } from "../../../lib/bytes/kept_views.ts";
import { release } from "../../../lib/bytes/memory.ts";
import { permanentMemory } from "../../../lib/os/anonymous_memory.ts";
import { EAGAIN, EINTR, errno, ptr, strerror } from "../../../lib/os/libc.ts";
import { peek, receive } from "../../../lib/os/socket.ts";
import { type Header, HEADER_LENGTH, parseHeader } from "../../../lib/protocol/message.ts";
import type { Logger } from "../../process/log.ts";
import type { Peer } from "./context.ts";
import type { Descriptors } from "./descriptors.ts";
import { Incoming } from "./incoming.ts";
import { type ParkedClient, type ParkedClients, waitingClient } from "./parked.ts";

/** Bytes read at once; a larger request gets its own memory. */
const READ_LENGTH = 262_144;
/** A request with more bytes may keep its worker busy for a while. */
const LONG_REQUEST = 4096;

/** What this needs from its worker and from the exchange. */
export interface ReceptionParts {
  readonly descriptors: Descriptors;
  readonly parked: ParkedClients;
  readonly log: Logger;
  readonly maxPayload: number;
  /** Called before a request that may keep the worker busy is answered. */
  expectLong(): void;
  /** Whether a client must wait for its turn. */
  mustWait(peer: Peer): boolean;
  /** Makes a client wait for its turn, in which {@linkcode Reception.take} is called. */
  awaitTurn(client: ParkedClient): void;
  /** Answers a complete request. `body` is valid only during the call; `received` also counts bytes after the request. */
  respond(fd: number, peer: Peer, header: Header, body: Uint8Array, received: number): void;
}

/** What the clients of one worker send, each until its request is complete. */
export class Reception {
  /** Bytes received so far. */
  received = 0;
  readonly #parts: ReceptionParts;
  readonly #incoming: Incoming;
  readonly #input = new Uint8Array(permanentMemory(READ_LENGTH));
  readonly #inputAddress: number = ptr(this.#input);
  readonly #bodyViews = new KeptViews(this.#input.buffer as ArrayBuffer, HEADER_LENGTH);

  constructor(parts: ReceptionParts) {
    this.#parts = parts;
    this.#incoming = new Incoming(parts.parked, parts.log, parts.maxPayload);
  }

  /** Reads what a new client has sent, which is usually the whole request. */
  begin(fd: number, peer: Peer): void {
    const { descriptors, parked } = this.#parts;
    if (parked.size > 0 && parked.isFull(peer.uid) && !this.#isShort(fd)) {
      this.#park(fd, peer, new Uint8Array(0));
      return;
    }
    descriptors.setIdle(fd, false);
    const count = receive(fd, this.#inputAddress, READ_LENGTH);
    if (count <= 0) {
      if (count === 0) this.#incomplete(fd, peer, 0, null);
      else if (errno() === EAGAIN) this.#park(fd, peer, new Uint8Array(0));
      else this.#fail(fd, strerror(errno()));
      return;
    }
    this.received += count;
    if (count < HEADER_LENGTH) {
      this.#park(fd, peer, this.#input.slice(0, count));
      return;
    }
    const header = this.#incoming.header(this.#input, peer);
    if (header === null) descriptors.hangUp(fd);
    else if (count < HEADER_LENGTH + header.length) {
      const buffer = this.#incoming.begin(this.#input.subarray(0, count), header);
      parked.park(waitingClient(fd, peer, buffer, true, count));
    } else {
      if (header.length > LONG_REQUEST) this.#parts.expectLong();
      this.#parts.respond(fd, peer, header, this.#bodyViews.first(header.length), count);
    }
  }

  /** Parks a new client, from which nothing is read before its turn. */
  defer(fd: number, peer: Peer): ParkedClient {
    const { descriptors, parked } = this.#parts;
    descriptors.setIdle(fd, true);
    const client = waitingClient(fd, peer, new Uint8Array(0), false);
    parked.park(client);
    return client;
  }

  /** Continues with a client whose turn has come, and which is no longer parked. */
  take({ fd, peer, buffer, done }: ParkedClient): void {
    if (buffer.length === 0) {
      this.begin(fd, peer);
      return;
    }
    const header = parseHeader(buffer); // known to be valid
    const body = buffer.subarray(HEADER_LENGTH, HEADER_LENGTH + header.length);
    this.#parts.respond(fd, peer, header, body, done);
    release(buffer);
  }

  /** Reads more from a parked client. */
  readMore(client: ParkedClient): void {
    const { descriptors, parked, mustWait, awaitTurn, respond } = this.#parts;
    const { fd, peer } = client;
    const isAnsweredAtOnce = client.done === 0 && parked.isFull(peer.uid) && this.#isShort(fd);
    if (!isAnsweredAtOnce && !parked.mayGather(client)) return;
    descriptors.setIdle(fd, false);
    const count = receive(fd, this.#inputAddress, READ_LENGTH);
    if (count <= 0) {
      if (count < 0 && (errno() === EAGAIN || errno() === EINTR)) {
        descriptors.setIdle(fd, true);
        return;
      }
      const reason = count < 0 ? strerror(errno()) : null;
      parked.remove(client);
      if (reason === null) this.#incomplete(fd, peer, client.done, client.buffer);
      else this.#fail(fd, reason);
      return;
    }
    this.received += count;
    this.#incoming.gather(client, this.#input.subarray(0, count));
    const isBegun = client.done >= HEADER_LENGTH;
    const header = isBegun ? this.#incoming.header(client.buffer, peer) : null;
    const end = isBegun ? header === null ? 0 : HEADER_LENGTH + header.length : HEADER_LENGTH;
    if (client.done < end) {
      if (count < READ_LENGTH) descriptors.setIdle(fd, true);
      parked.limit();
      return;
    }
    if (header !== null && mustWait(peer)) {
      parked.awaitTurn(client);
      awaitTurn(client);
      return;
    }
    parked.remove(client);
    if (header === null) descriptors.hangUp(fd);
    else respond(fd, peer, header, client.buffer.subarray(HEADER_LENGTH, end), client.done);
  }

  /** Disconnects a client that is no longer parked and has not sent all of its request. */
  giveUp({ fd, done }: ParkedClient, reason: string): void {
    const part = done < HEADER_LENGTH ? "header" : "body";
    this.#incoming.failed(part, reason, `receive ${part}: ${reason}`);
    this.#parts.descriptors.hangUp(fd);
  }

  #park(fd: number, peer: Peer, received: Uint8Array): void {
    if (received.length < READ_LENGTH) this.#parts.descriptors.setIdle(fd, true);
    this.#parts.parked.park(waitingClient(fd, peer, received, true));
  }

  /** Whether a client of which nothing has been read can be answered without keeping anything for it. */
  #isShort(fd: number): boolean {
    const count = peek(fd, this.#inputAddress, HEADER_LENGTH + LONG_REQUEST);
    if (count <= 0) return count === 0 || errno() !== EAGAIN; // then there is nothing to answer
    return count >= HEADER_LENGTH && !this.#incoming.isUnfinished(this.#input, count);
  }

  #incomplete(fd: number, peer: Peer, received: number, bytes: Uint8Array | null): void {
    this.#incoming.incomplete(peer, received, bytes);
    this.#parts.descriptors.hangUp(fd);
  }

  #fail(fd: number, reason: string): void {
    this.#incoming.failed("header", reason);
    this.#parts.descriptors.hangUp(fd);
  }
}
