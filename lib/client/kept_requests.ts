// The requests over one kept connection, in order: first those in flight, whose answers come in the same order, then those
// that are not sent yet. kept_connection.ts sends them.
import type { MungeError } from "../errors.ts";
import type { MessageType } from "../protocol/message.ts";

/** How many answered requests are forgotten at once, unless all are. */
const FORGOTTEN_AT_ONCE = 256;

/** Why a request got no answer. */
export interface KeptFailure {
  readonly error: MungeError;
  /** Whether munged may have received the request, so that the next try is a retry. */
  readonly wasSent: boolean;
}

/** A request, sent or not. */
export interface KeptRequest {
  readonly message: Uint8Array;
  readonly responseType: MessageType;
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (failure: KeptFailure) => void;
  /** The tick in which it was sent. */
  sentAt: number;
}

/** A queue of requests. */
export class KeptRequests {
  #requests: KeptRequest[] = [];
  /** How many of them are answered, and how many are sent, from the first one on. */
  #answered = 0;
  #sent = 0;

  /** Number of requests without an answer. */
  get inFlight(): number {
    return this.#sent - this.#answered;
  }

  /** Number of requests that are not sent yet. */
  get unsent(): number {
    return this.#requests.length - this.#sent;
  }

  /** Number of requests in memory. */
  get held(): number {
    return this.#requests.length;
  }

  /** The request whose answer comes next; undefined if none is in flight. */
  get first(): KeptRequest | undefined {
    return this.#answered < this.#sent ? this.#requests[this.#answered] : undefined;
  }

  /** Adds a request that is not sent yet. */
  add(request: KeptRequest): void {
    this.#requests.push(request);
  }

  /** The messages of the next `count` requests, which are sent now. */
  send(count: number, tick: number): Uint8Array {
    const from = this.#sent;
    this.#sent += count;
    let length = 0;
    for (let i = from; i < this.#sent; i++) {
      const request = this.#requests[i]!;
      request.sentAt = tick;
      length += request.message.length;
    }
    if (count === 1) return this.#requests[from]!.message;
    const bytes = new Uint8Array(length);
    let at = 0;
    for (let i = from; i < this.#sent; i++) {
      const { message } = this.#requests[i]!;
      bytes.set(message, at);
      at += message.length;
    }
    return bytes;
  }

  /** Notes that the first request has its answer. */
  answered(): void {
    this.#answered++;
    if (this.#answered === this.#requests.length) {
      this.#requests.length = 0;
      this.#answered = this.#sent = 0;
    } else if (this.#answered === FORGOTTEN_AT_ONCE) {
      this.#requests.splice(0, FORGOTTEN_AT_ONCE);
      this.#sent -= FORGOTTEN_AT_ONCE;
      this.#answered = 0;
    }
  }

  /** Rejects and forgets all requests without an answer. */
  rejectAll(error: MungeError): void {
    const [from, sent] = [this.#answered, this.#sent];
    const requests = this.#requests;
    this.#requests = [];
    this.#answered = this.#sent = 0;
    for (let i = from; i < requests.length; i++) requests[i]!.reject({ error, wasSent: i < sent });
  }
}
