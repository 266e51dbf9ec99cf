// One kept connection of this process to a munged: many requests at a time, answered in order (docs/protocol.md, "Several
// requests over one connection"). kept_connections.ts decides when there is one.
import { clearInterval, clearTimeout, setInterval, setTimeout } from "node:timers";
import type { MungeError } from "../errors.ts";
import {
  HEADER_LENGTH,
  type KeepTerms,
  MESSAGE_TIMEOUT_MS,
  type MessageType,
} from "../protocol/message.ts";
import {
  incompleteError,
  keepTransaction,
  responseLength,
  stepError,
  timeoutError,
} from "../protocol/transaction.ts";
import { openTransport, type Transport } from "./kept_transport.ts";
import { systemText } from "./system_error.ts";

/** How often to look for answers that are overdue, and whether the connection is idle. */
const TICK_MS = 500;
/** Ticks that make up the time of a message, rounded up. */
const OVERDUE_TICKS = MESSAGE_TIMEOUT_MS / TICK_MS + 1;

/** A request, sent or not. */
interface Request {
  readonly message: Uint8Array;
  readonly responseType: MessageType;
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (failure: KeptFailure) => void;
  /** The tick in which it was sent. */
  sentAt: number;
}

/** Why a request got no answer. */
export interface KeptFailure {
  readonly error: MungeError;
  /** Whether munged may have received the request, so that the next try is a retry. */
  readonly wasSent: boolean;
}

/** A connection that munged keeps. */
export class KeptConnection {
  readonly #terms: KeepTerms;
  readonly #transport: Transport;
  readonly #queue: Request[] = [];
  /** Sent requests, from `#next` on. */
  #inFlight: Request[] = [];
  #next = 0;
  /** The beginning of an answer. */
  #part: Uint8Array = new Uint8Array(0);
  #tick = 0;
  #usedAt = 0;
  #isFlushing = false;
  #isOpen = true;
  /** Whether munged has ever answered a request over it. */
  #hasAnswered = false;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #ended: (hasAnswered: boolean) => void;

  private constructor(
    transport: Transport,
    terms: KeepTerms,
    ended: (hasAnswered: boolean) => void,
  ) {
    this.#transport = transport;
    this.#terms = terms;
    this.#ended = ended;
    this.#timer = setInterval(() => this.#look(), TICK_MS);
    this.#timer.unref();
  }

  /**
   * Connects to a munged, and asks it to keep the connection.
   *
   * @param ended called once the connection is closed; says whether it has ever been of use.
   * @throws {MungeError} if it does not: as a C munged, with a closed connection as the cause.
   */
  static async open(
    path: string,
    ended: (hasAnswered: boolean) => void,
  ): Promise<KeptConnection> {
    const transaction = keepTransaction();
    let resolve!: (body: Uint8Array) => void;
    let reject!: (error: unknown) => void;
    const answer = new Promise<Uint8Array>((...both) => [resolve, reject] = both);
    answer.catch(() => {}); // while connecting
    const timer = setTimeout(
      () => reject(timeoutError("receive message header")),
      MESSAGE_TIMEOUT_MS,
    );
    timer.unref();
    let part: Uint8Array = new Uint8Array(0);
    let connection: KeptConnection | undefined;
    let isClosed = false;
    const transport = await openTransport(path, {
      received(bytes) {
        if (connection !== undefined) {
          connection.#receive(bytes);
          return;
        }
        part = joined(part, bytes);
        try {
          if (part.length < HEADER_LENGTH) return;
          const end = HEADER_LENGTH + responseLength(part, transaction.responseType);
          if (part.length >= end) resolve(part.subarray(HEADER_LENGTH, end));
        } catch (error) {
          reject(error);
        }
      },
      closed(error) {
        isClosed = true;
        reject(closedError(error));
        if (connection !== undefined) connection.#fail(closedError(error));
      },
    });
    try {
      transport.send(transaction.format(0));
      const terms = transaction.parse(await answer);
      if (isClosed) throw closedError();
      connection = new KeptConnection(transport, terms, ended);
      return connection;
    } catch (error) {
      transport.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Whether a request may be sent over it. */
  accepts(message: Uint8Array): boolean {
    return this.#isOpen && message.length - HEADER_LENGTH <= this.#terms.maxLength;
  }

  /** Sends a request together with all others of this moment. Resolves with the answer's body; rejects with a {@linkcode KeptFailure}. */
  ask(message: Uint8Array, responseType: MessageType): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ message, responseType, resolve, reject, sentAt: 0 });
      if (this.#isFlushing) return;
      this.#isFlushing = true;
      queueMicrotask(() => this.#flush());
    });
  }

  /** Closes it. Requests without an answer fail. */
  close(): void {
    this.#fail(closedError());
  }

  get #unanswered(): number {
    return this.#inFlight.length - this.#next;
  }

  #flush(): void {
    this.#isFlushing = false;
    if (!this.#isOpen) {
      this.#rejectAll(closedError());
      return;
    }
    const count = Math.min(this.#queue.length, this.#terms.maxInFlight - this.#unanswered);
    if (count === 0) return;
    if (this.#unanswered === 0) this.#transport.hold(true);
    const sent = this.#queue.splice(0, count);
    let length = 0;
    for (const request of sent) {
      request.sentAt = this.#tick;
      length += request.message.length;
      this.#inFlight.push(request);
    }
    if (count === 1) {
      this.#transport.send(sent[0]!.message);
      return;
    }
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const { message } of sent) {
      bytes.set(message, at);
      at += message.length;
    }
    this.#transport.send(bytes);
  }

  #receive(chunk: Uint8Array): void {
    const bytes = this.#part.length === 0 ? chunk : joined(this.#part, chunk);
    let at = 0;
    try {
      while (bytes.length - at >= HEADER_LENGTH) {
        const request = this.#inFlight[this.#next];
        if (request === undefined) throw closedError(); // an answer to nothing
        const bodyAt = at + HEADER_LENGTH;
        const end = bodyAt + responseLength(bytes.subarray(at, bodyAt), request.responseType);
        if (end > bytes.length) break;
        this.#next++;
        request.resolve(bytes.slice(bodyAt, end));
        at = end;
      }
    } catch (error) {
      this.#fail(error as MungeError);
      return;
    }
    this.#part = bytes.slice(at);
    if (at === 0) return;
    this.#hasAnswered = true;
    this.#usedAt = this.#tick;
    if (this.#unanswered === 0) {
      this.#inFlight = [];
      this.#next = 0;
      if (this.#queue.length === 0) this.#transport.hold(false);
    }
    if (this.#queue.length > 0 && !this.#isFlushing) this.#flush();
  }

  #look(): void {
    this.#tick++;
    if (this.#unanswered > 0) {
      const waited = this.#tick - this.#inFlight[this.#next]!.sentAt;
      if (waited >= OVERDUE_TICKS) this.#fail(timeoutError("receive message header"));
    } else if ((this.#tick - this.#usedAt) * TICK_MS > this.#terms.idleMs / 2) {
      this.#fail(closedError()); // before munged does, so that no request crosses that
    }
  }

  #fail(error: MungeError): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    clearInterval(this.#timer);
    this.#transport.close();
    this.#ended(this.#hasAnswered);
    this.#rejectAll(error);
  }

  #rejectAll(error: MungeError): void {
    const sent = this.#inFlight.slice(this.#next);
    this.#inFlight = [];
    this.#next = 0;
    for (const { reject } of sent) reject({ error, wasSent: true });
    for (const { reject } of this.#queue.splice(0)) reject({ error, wasSent: false });
  }
}

function closedError(error?: unknown): MungeError {
  return error === undefined || error === null
    ? incompleteError("header", 0, HEADER_LENGTH)
    : stepError("receive message header", systemText(error), error);
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
