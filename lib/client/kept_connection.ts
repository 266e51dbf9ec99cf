// One kept connection of this process to a munged: many requests at a time, answered in order (docs/protocol.md, "Several
// requests over one connection"). kept_connections.ts decides when there is one.
import { clearInterval, clearTimeout, setInterval, setTimeout } from "node:timers";
import type { MungeError } from "../errors.ts";
import { HEADER_LENGTH, type KeepTerms, MESSAGE_TIMEOUT_MS } from "../protocol/message.ts";
import {
  incompleteError,
  keepTransaction,
  responseLength,
  stepError,
  timeoutError,
  type Transaction,
} from "../protocol/transaction.ts";
import { type KeptRequest, KeptRequests } from "./kept_requests.ts";
import { openTransport, type Transport } from "./kept_transport.ts";
import { Polling } from "./polling.ts";
import { Receiver } from "./receiver.ts";
import { systemText } from "./system_error.ts";

/** How often to check for overdue answers and an idle connection. */
const TICK_MS = 500;
/** Ticks after which an answer is overdue: the time limit of a message, rounded up. */
const OVERDUE_TICKS = MESSAGE_TIMEOUT_MS / TICK_MS + 1;

const NOTHING = new Uint8Array(0);

/** A connection that munged keeps. */
export class KeptConnection {
  readonly #terms: KeepTerms;
  readonly #transport: Transport;
  readonly #requests = new KeptRequests();
  readonly #polling = new Polling();
  /** The beginning of an answer. */
  #part: Uint8Array = NOTHING;
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
   * @param ended called once the connection is closed, with whether munged ever answered a request over it.
   * @throws {MungeError} if munged does not keep it; a C munged closes it, and the error's cause says so.
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
    const receiver = new Receiver(transaction.responseType);
    let connection: KeptConnection | undefined;
    let isClosed = false;
    const transport = await openTransport(path, {
      received(bytes) {
        if (connection !== undefined) {
          connection.#receive(bytes);
          return;
        }
        try {
          const body = receiver.take(bytes);
          if (body !== undefined) resolve(body);
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

  /** Sends a request, in one batch with all others made before the next microtask. Rejects with a {@linkcode KeptFailure}. */
  ask<Response>(message: Uint8Array, transaction: Transaction<Response>): Promise<Response> {
    return new Promise((resolve: (response: never) => void, reject) => {
      this.#requests.add({
        message,
        transaction,
        resolve: resolve as KeptRequest["resolve"],
        reject,
        sentAt: 0,
        next: undefined,
      });
      if (this.#isFlushing) return;
      this.#isFlushing = true;
      queueMicrotask(() => this.#flush());
    });
  }

  /** Closes it. Requests without an answer fail. */
  close(): void {
    this.#fail(closedError());
  }

  #flush(): void {
    this.#isFlushing = false;
    const requests = this.#requests;
    if (!this.#isOpen) {
      requests.rejectAll(closedError());
      return;
    }
    const { inFlight, unsent } = requests;
    const count = Math.min(unsent, this.#terms.maxInFlight - inFlight);
    if (count === 0) return;
    if (inFlight === 0) this.#transport.hold(true);
    this.#transport.send(requests.send(count, this.#tick));
    if (requests.inFlight === 1) this.#polling.begin();
  }

  #receive(chunk: Uint8Array): void {
    const bytes = this.#part.length === 0 ? chunk : joined(this.#part, chunk);
    const requests = this.#requests;
    let at = 0;
    try {
      while (bytes.length - at >= HEADER_LENGTH) {
        const request = requests.first;
        if (request === undefined) throw closedError(); // an answer without a request
        const bodyAt = at + HEADER_LENGTH;
        const end = bodyAt + responseLength(bytes, request.transaction.responseType, at);
        if (end > bytes.length) break;
        requests.answered();
        settle(request, bytes, bodyAt, end);
        at = end;
      }
    } catch (error) {
      this.#fail(error as MungeError);
      return;
    }
    this.#part = at === bytes.length ? NOTHING : bytes.slice(at);
    if (at === 0) return;
    this.#polling.end();
    this.#hasAnswered = true;
    this.#usedAt = this.#tick;
    if (requests.unsent > 0) {
      if (!this.#isFlushing) this.#flush();
    } else if (requests.inFlight === 0) this.#transport.hold(false);
  }

  #look(): void {
    this.#tick++;
    const { first } = this.#requests;
    if (first !== undefined) {
      const waited = this.#tick - first.sentAt;
      if (waited >= OVERDUE_TICKS) this.#fail(timeoutError("receive message header"));
    } else if ((this.#tick - this.#usedAt) * TICK_MS > this.#terms.idleMs / 2) {
      this.#fail(closedError()); // before munged does, so that no request is lost
    }
  }

  #fail(error: MungeError): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    clearInterval(this.#timer);
    this.#transport.close();
    this.#polling.end();
    this.#ended(this.#hasAnswered);
    this.#requests.rejectAll(error);
  }
}

function closedError(error?: unknown): MungeError {
  return error === undefined || error === null
    ? incompleteError("header", 0, HEADER_LENGTH)
    : stepError("receive message header", systemText(error), error);
}

/** Settles a request with the answer whose body lies in `bytes`, which are valid only during the call. */
function settle(request: KeptRequest, bytes: Uint8Array, start: number, end: number): void {
  const { parse, viewsBody } = request.transaction;
  try {
    request.resolve(parse(viewsBody ? bytes.slice(start, end) : bytes.subarray(start, end)));
  } catch (error) {
    request.reject({ error: error as MungeError, wasSent: true });
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
