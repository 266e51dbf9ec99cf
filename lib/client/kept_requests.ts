// The requests over one kept connection, in order: first those in flight, whose answers arrive in the same order, then those
// not yet sent. kept_connection.ts sends them.
import type { MungeError } from "../errors.ts";
import type { Transaction } from "../protocol/transaction.ts";

/** Why a request got no answer. */
export interface KeptFailure {
  readonly error: MungeError;
  /** Whether munged may have received the request, so that the next attempt is a retry. */
  readonly wasSent: boolean;
}

/** A request without an answer, sent or not. */
export interface KeptRequest {
  readonly message: Uint8Array;
  /** How to parse its answer. */
  readonly transaction: Pick<Transaction<unknown>, "responseType" | "parse" | "viewsBody">;
  readonly resolve: (response: unknown) => void;
  readonly reject: (failure: KeptFailure) => void;
  /** The tick in which it was sent. */
  sentAt: number;
  /** The request after it. */
  next: KeptRequest | undefined;
}

/** A queue of requests. */
export class KeptRequests {
  #first: KeptRequest | undefined;
  #firstUnsent: KeptRequest | undefined;
  #last: KeptRequest | undefined;
  /** Number of requests sent but not answered. */
  inFlight = 0;
  /** Number of requests not yet sent. */
  unsent = 0;

  /** The request whose answer comes next; undefined if none is in flight. */
  get first(): KeptRequest | undefined {
    return this.inFlight > 0 ? this.#first : undefined;
  }

  /** Adds a request to be sent. */
  add(request: KeptRequest): void {
    if (this.#last === undefined) this.#first = request;
    else this.#last.next = request;
    this.#last = request;
    this.#firstUnsent ??= request;
    this.unsent++;
  }

  /** The messages of the next `count` requests, which are sent now. */
  send(count: number, tick: number): Uint8Array {
    const messages: Uint8Array[] = [];
    let length = 0;
    for (let i = 0; i < count; i++) {
      const request = this.#firstUnsent!;
      request.sentAt = tick;
      length += request.message.length;
      messages.push(request.message);
      this.#firstUnsent = request.next;
    }
    this.inFlight += count;
    this.unsent -= count;
    if (count === 1) return messages[0]!;
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const message of messages) {
      bytes.set(message, at);
      at += message.length;
    }
    return bytes;
  }

  /** Forgets the first request, which has been answered. */
  answered(): void {
    this.#first = this.#first!.next;
    if (this.#first === undefined) this.#last = undefined;
    this.inFlight--;
  }

  /** Rejects and forgets all requests. */
  rejectAll(error: MungeError): void {
    const sent = this.inFlight;
    let request = this.#first;
    this.#first = this.#firstUnsent = this.#last = undefined;
    this.inFlight = this.unsent = 0;
    for (let i = 0; request !== undefined; i++, request = request.next) {
      request.reject({ error, wasSent: i < sent });
    }
  }
}
