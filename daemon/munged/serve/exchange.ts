// One client's request and answer on its socket: reads, has request.ts decide, writes and closes. Nothing here blocks: a
// client whose bytes have not arrived yet, or that does not read its answer, is parked.
import { KeptViews } from "../../../lib/bytes/kept_views.ts";
import { newBytes, release } from "../../../lib/bytes/memory.ts";
import { MungeError } from "../../../lib/errors.ts";
import { EAGAIN, EINTR, errno, fixedMemory, ptr, strerror } from "../../../lib/os/libc.ts";
import { receive, send } from "../../../lib/os/socket.ts";
import {
  type Header,
  HEADER_LENGTH,
  maxMessageLength,
  MESSAGE_TYPE,
  parseHeader,
  TIMELY_LENGTH,
} from "../../../lib/protocol/message.ts";
import type { Logger } from "../../process/log.ts";
import type { WorkerCounters } from "../observe/counters.ts";
import type { Remembered } from "../replay/cache.ts";
import type { Verdict } from "../replay_store/messages.ts";
import type { Answer, Deferred, Peer, RequestContext } from "./context.ts";
import type { Descriptors } from "./descriptors.ts";
import { delivered } from "./kept_answers.ts";
import { KeptExchange } from "./kept_exchange.ts";
import { type ParkedClient, ParkedClients, type ParkingLimits } from "./parked.ts";
import type { Poller } from "../../../lib/os/poller.ts";
import { answerRequest } from "./request.ts";

/** Bytes read at once; a larger request gets its own memory. */
const READ_LENGTH = 262_144;
/** A request with more bytes may keep its worker busy for a while. */
const LONG_REQUEST = 4096;
/** Maximum length of a response made in reused memory. */
const OUTPUT_LENGTH = 131_072;

/** What the exchanges need from their worker. */
export interface ExchangeParts {
  readonly context: Omit<RequestContext, "allocate">;
  readonly counters: WorkerCounters;
  readonly descriptors: Descriptors;
  readonly limits: ParkingLimits;
  readonly poller: Poller;
  readonly log: Logger;
  /** Called before a request that may keep the worker busy is answered. */
  expectLong(): void;
  /** Whether a client must wait for its turn. */
  mustWait(peer: Peer): boolean;
  /** Has a client wait for its turn, when {@linkcode Exchange.take} is called. */
  awaitTurn(client: ParkedClient): void;
}

/** A request that waits for the store. */
interface DeferredRequest {
  readonly deferred: Deferred;
  readonly type: number;
  /** When it began, or 0 if it is not timed. */
  readonly begun: number;
}

/** All exchanges of one worker. */
export class Exchange {
  readonly parked: ParkedClients;
  readonly kept: KeptExchange;
  #received = 0;
  #answered = 0;
  readonly #context: RequestContext;
  /** Maximum length of a request's body. */
  readonly #maxLength: number;
  readonly #counters: WorkerCounters;
  readonly #descriptors: Descriptors;
  readonly #log: Logger;
  /** Requests whose credential the store is asked about, by question. */
  readonly #deferred = new Map<number, DeferredRequest & { readonly client: ParkedClient }>();
  readonly #expectLong: ExchangeParts["expectLong"];
  readonly #mustWait: ExchangeParts["mustWait"];
  readonly #awaitTurn: ExchangeParts["awaitTurn"];

  readonly #input = new Uint8Array(fixedMemory(READ_LENGTH));
  readonly #inputAddress: number = ptr(this.#input);
  readonly #bodyViews = new KeptViews(this.#input.buffer as ArrayBuffer, HEADER_LENGTH);
  /** Memory for responses, except very large ones. */
  readonly #output = fixedMemory(OUTPUT_LENGTH);
  readonly #outputViews = new KeptViews(this.#output);
  readonly #outputAddress: number = ptr(this.#output);

  constructor(parts: ExchangeParts) {
    const { context, counters, descriptors, limits, poller, log } = parts;
    const allocate = (length: number) =>
      length <= OUTPUT_LENGTH ? this.#outputViews.first(length) : newBytes(length);
    this.#context = { ...context, allocate };
    this.#maxLength = maxMessageLength(context.maxPayload);
    this.#counters = counters;
    this.#descriptors = descriptors;
    this.#log = log;
    this.#expectLong = parts.expectLong;
    this.#mustWait = parts.mustWait;
    this.#awaitTurn = parts.awaitTurn;
    this.parked = new ParkedClients(poller, limits, (client, reason) => this.#end(client, reason));
    this.kept = new KeptExchange({
      ...parts,
      clients: limits.clients,
      parked: this.parked,
      defer: ({ fd, peer }, deferred, type, begun) =>
        this.#defer(fd, peer, { deferred, type, begun }),
      abandon: (fd, error) => this.abandon(fd, error),
      forget: (remembered) => this.#forget(remembered),
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
    if (this.parked.size > 0 && this.parked.isFull(peer.uid)) {
      this.#park(fd, peer, new Uint8Array(0));
      return;
    }
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
    const header = this.#acceptableHeader(this.#input, peer);
    if (header === null) this.#descriptors.hangUp(fd);
    else if (count < HEADER_LENGTH + header.length) {
      this.#park(fd, peer, this.#input.slice(0, count));
    } else {
      if (header.length > LONG_REQUEST) this.#expectLong();
      this.#respond(fd, peer, header, this.#bodyViews.first(header.length), count);
    }
  }

  /** Parks a new client, from which nothing is read before its turn. */
  defer(fd: number, peer: Peer): ParkedClient {
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
    else this.#sendMore(client, client.answer);
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

  /** The header of a valid request, or null. */
  #acceptableHeader(bytes: Uint8Array, { uid }: Peer): Header | null {
    try {
      const header = parseHeader(bytes);
      if (header.length <= this.#maxLength) return header;
      this.#log.client(
        uid,
        "header",
        `Failed to receive message: Size ${header.length} exceeded maximum of ${this.#maxLength}`,
      );
    } catch (error) {
      if (!(error instanceof MungeError)) throw error;
      this.#log.client(uid, "header", error.message);
    }
    return null;
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
    const begun = this.#counters.begin();
    this.#answered++;
    const answer = answerRequest(header.type, header.retry, body, peer, this.#context);
    if (answer === null) {
      this.#counters.cutOff();
      this.#descriptors.hangUp(fd);
      return;
    }
    if (answer.bytes === null) {
      this.#defer(fd, peer, { deferred: answer, type: header.type, begun });
      return;
    }
    this.#counters.answered(header.type, answer.bytes[HEADER_LENGTH]!);
    this.#sendFirst(fd, peer, answer);
    if (begun !== 0) this.#counters.end(begun);
  }

  /** Parks a client until the store's verdict. */
  #defer(fd: number, peer: Peer, request: DeferredRequest): void {
    const { deferred } = request;
    const kept = this.kept.connections.get(fd);
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
    this.#deferred.set(deferred.question, { ...request, client });
    this.parked.park(client);
  }

  /** The client whose answer waits for the store's answer to a question; undefined if it is gone. */
  deferredClient(question: number): ParkedClient | undefined {
    return this.#deferred.get(question)?.client;
  }

  /** Answers that client. */
  decide(question: number, verdict: Verdict): void {
    const { client, deferred, type, begun } = this.#deferred.get(question)!;
    this.#deferred.delete(question);
    this.parked.remove(client);
    const answer = deferred.decide(verdict);
    this.#counters.answered(type, answer.bytes[HEADER_LENGTH]!);
    if (client.kept !== undefined) this.kept.decided(client.kept, answer);
    else this.#sendFirst(client.fd, client.peer, answer);
    if (begun !== 0) this.#counters.end(begun);
  }

  #sendFirst(fd: number, peer: Peer, answer: Answer): void {
    const { bytes } = answer;
    const isShared = bytes.buffer === this.#output;
    const count = send(fd, isShared ? this.#outputAddress : ptr(bytes), bytes.length);
    if (count === bytes.length) {
      this.#descriptors.hangUp(fd);
      if (!isShared) release(bytes);
    } else if (count >= 0 || errno() === EAGAIN) {
      const buffer = isShared ? bytes.slice() : bytes;
      const done = Math.max(count, 0);
      this.parked.park({
        fd,
        peer: { ...peer },
        deadline: 0,
        buffer,
        done,
        answer,
        isWatched: true,
      });
    } else {
      this.#failSend({ fd }, answer, strerror(errno()));
    }
  }

  #park(fd: number, peer: Peer, received: Uint8Array): void {
    this.parked.park(waiting(fd, peer, received, true));
  }

  #receiveMore(client: ParkedClient): void {
    if (!this.parked.mayGather(client)) return;
    const { fd } = client;
    const count = receive(fd, this.#inputAddress, READ_LENGTH);
    if (count <= 0) {
      if (count < 0 && (errno() === EAGAIN || errno() === EINTR)) return;
      const reason = count < 0 ? strerror(errno()) : null;
      this.parked.remove(client);
      if (reason === null) this.#incomplete(fd, client.peer, client.done, client.buffer);
      else this.#failReceive(fd, reason);
      return;
    }
    this.#received += count;
    this.#append(client, this.#input.subarray(0, count));
    if (client.done < HEADER_LENGTH) return;
    const header = this.#acceptableHeader(client.buffer, client.peer);
    const end = header === null ? 0 : HEADER_LENGTH + header.length;
    if (client.done < end) {
      this.parked.limit();
      return;
    }
    if (header !== null && this.#mustWait(client.peer)) {
      this.parked.awaitTurn(client);
      this.#awaitTurn(client);
      return;
    }
    this.parked.remove(client);
    if (header === null) this.#descriptors.hangUp(fd);
    else {
      const body = client.buffer.subarray(HEADER_LENGTH, end);
      this.#respond(fd, client.peer, header, body, client.done);
    }
  }

  /** Gathers bytes; memory grows with what has arrived, not with what the header claims, and not beyond that. */
  #append(client: ParkedClient, bytes: Uint8Array): void {
    const needed = client.done + bytes.length;
    if (needed > client.buffer.length) {
      const end = client.done < HEADER_LENGTH
        ? 0
        : HEADER_LENGTH + parseHeader(client.buffer).length;
      const room = Math.max(needed, Math.min(client.buffer.length * 2, end));
      const before = client.buffer.length;
      client.buffer = new Uint8Array((client.buffer.buffer as ArrayBuffer).transfer(room));
      this.parked.grew(client, room - before); // only now, because the allocation may have failed
    }
    client.buffer.set(bytes, client.done);
    this.#progress(client, bytes.length);
  }

  /** Counts bytes received or sent. Long messages may take longer. */
  #progress(client: ParkedClient, count: number): void {
    const before = Math.floor(client.done / TIMELY_LENGTH);
    client.done += count;
    if (Math.floor(client.done / TIMELY_LENGTH) > before) this.parked.extend(client);
  }

  #sendMore(client: ParkedClient, answer: Answer): void {
    const { fd, buffer } = client;
    const count = send(fd, ptr(buffer) + client.done, buffer.length - client.done);
    if (count < 0) {
      if (errno() === EAGAIN || errno() === EINTR) return;
      const reason = strerror(errno());
      this.parked.remove(client);
      this.#failSend(client, answer, reason);
      return;
    }
    this.#progress(client, count);
    if (client.done < buffer.length) {
      if (client.kept !== undefined) delivered(client.kept, client.done);
      return;
    }
    this.parked.remove(client);
    if (client.kept !== undefined) this.kept.sent(client.kept);
    else this.#descriptors.hangUp(fd);
  }

  /** Disconnects a client that is no longer parked. */
  #end(client: ParkedClient, reason: string): void {
    if (client.deferred !== undefined) {
      this.#endDeferred(client, client.deferred, reason);
      return;
    }
    release(client.buffer);
    if (client.answer !== null) {
      this.#failSend(client, client.answer, reason);
      return;
    }
    if (client.kept !== undefined) {
      this.kept.end(client.kept);
      return;
    }
    const part = client.done < HEADER_LENGTH ? "header" : "body";
    this.#log.limited(
      `receive ${part}: ${reason}`,
      "info",
      `Failed to receive message ${part}: ${reason}`,
    );
    this.#descriptors.hangUp(client.fd);
  }

  #endDeferred(client: ParkedClient, deferred: Deferred, reason: string): void {
    this.#log.limited(`store: ${reason}`, "info", `Failed to await the replay store: ${reason}`);
    this.#forgetDeferred(deferred);
    this.#hangUp(client);
  }

  #forgetDeferred(deferred: Deferred): void {
    this.#deferred.delete(deferred.question);
    this.#tryToForget(() => deferred.abandon());
  }

  /** Handles a client that closed its side in the middle of a request. */
  #incomplete(fd: number, { uid }: Peer, received: number, bytes: Uint8Array | null): void {
    const [part, count, length] = received < HEADER_LENGTH || bytes === null
      ? ["header", received, HEADER_LENGTH]
      : ["body", received - HEADER_LENGTH, parseHeader(bytes).length];
    const text = `Received incomplete message ${part}: ${count} of ${length} bytes`;
    this.#log.client(uid, "incomplete", text);
    this.#descriptors.hangUp(fd);
  }

  #failReceive(fd: number, reason: string): void {
    this.#log.limited(`receive: ${reason}`, "info", `Failed to receive message header: ${reason}`);
    this.#descriptors.hangUp(fd);
  }

  /** Removes the replay entry of an undelivered answer, so that the client's next try is not a replay. */
  #failSend(client: Pick<ParkedClient, "fd" | "kept">, answer: Answer, reason: string): void {
    this.#log.limited(`send: ${reason}`, "info", `Failed to send message: ${reason}`);
    if (answer.remembered !== null) this.#forget(answer.remembered);
    this.#hangUp(client);
  }

  #hangUp({ fd, kept }: Pick<ParkedClient, "fd" | "kept">): void {
    if (kept !== undefined) this.kept.end(kept);
    else this.#descriptors.hangUp(fd);
  }

  #forget(remembered: Remembered): void {
    this.#tryToForget(() => this.#context.replayCache!.forget(remembered));
  }

  #tryToForget(forget: () => void): void {
    try {
      forget();
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.limited("forget credential", "error", `Failed to forget credential: ${reason}`);
    }
  }
}

/** A client whose request has arrived in part. */
function waiting(fd: number, peer: Peer, received: Uint8Array, isWatched: boolean): ParkedClient {
  const done = received.length;
  return { fd, peer: { ...peer }, deadline: 0, buffer: received, done, answer: null, isWatched };
}
