// Answers the requests that have been read from a kept connection, in order, for no longer than a turn. The connections
// themselves are in kept_exchange.ts.
import { readU32 } from "../../../lib/bytes/integers.ts";
import { KeptViews } from "../../../lib/bytes/kept_views.ts";
import { copyBytes } from "../../../lib/bytes/memory.ts";
import { MungeError } from "../../../lib/errors.ts";
import { permanentMemory } from "../../../lib/os/anonymous_memory.ts";
import { type Header, HEADER_LENGTH, parseHeader } from "../../../lib/protocol/message.ts";
import type { Logger } from "../../process/log.ts";
import type { WorkerCounters } from "../observe/counters.ts";
import { AnswerMemory } from "./answer_memory.ts";
import type { Deferred, RequestContext, WorkerContext } from "./context.ts";
import { KEEP_TERMS, type KeptConnection } from "./kept_connections.ts";
import type { KeptAnswers } from "./kept_answers.ts";
import { answerRequest } from "./request.ts";
import type { Retries } from "./retries.ts";

const MAX_REQUEST_BYTES = HEADER_LENGTH + KEEP_TERMS.maxLength;
/** Offset of a header's length field. */
const LENGTH = 7;
const NOTHING = new Uint8Array(0);
/** Milliseconds after which a connection must wait for its next turn, even if more requests have arrived. */
const TURN_MS = 1;

/** What this needs from the exchange. */
export interface KeptWorkParts {
  readonly context: WorkerContext;
  readonly counters: WorkerCounters;
  readonly log: Logger;
  readonly retries: Retries;
  readonly answers: KeptAnswers;
  /** Waits for the next request, or for the rest of one. @param isBegun whether its time is already running. */
  settle(connection: KeptConnection, isBegun: boolean): void;
  /** Makes a connection wait for its turn. */
  awaitTurn(connection: KeptConnection): void;
  /** Makes a connection wait for the store. */
  defer(connection: KeptConnection, deferred: Deferred, type: number, begun: number): void;
  /** Ends a connection, and logs why. */
  refuse(connection: KeptConnection, kind: string, text: string): void;
  /** Ends a connection. */
  end(connection: KeptConnection): void;
}

/** The work of one worker, which serves one connection at a time. */
export class KeptWork {
  /** Requests answered so far. */
  answered = 0;
  readonly #parts: KeptWorkParts;
  readonly #context: RequestContext;
  /** The request being answered, copied here because this memory has lasting views. */
  readonly #request = new Uint8Array(permanentMemory(MAX_REQUEST_BYTES));
  readonly #bodyViews = new KeptViews(this.#request.buffer as ArrayBuffer, HEADER_LENGTH);
  readonly #memory = new AnswerMemory();
  /** What one connection has sent, and how much of it has been answered. */
  #bytes: Uint8Array = NOTHING;
  #at = 0;

  constructor(parts: KeptWorkParts) {
    this.#parts = parts;
    this.#context = { ...parts.context, allocate: (length) => this.#memory.allocate(length) };
  }

  /** Prepares to continue with the requests that a connection has kept, none of which has been answered. */
  begin(connection: KeptConnection): void {
    this.#bytes = connection.rest;
    this.#at = 0;
  }

  /** Answers the complete requests in `bytes`, for no longer than a turn. */
  answerAll(connection: KeptConnection, bytes: Uint8Array): void {
    const { answers, refuse, settle } = this.#parts;
    const end = performance.now() + TURN_MS;
    answers.begin();
    this.#bytes = bytes;
    this.#at = 0;
    for (let length; (length = requestLength(bytes, this.#at)) !== null;) {
      if (length > MAX_REQUEST_BYTES || connection.inFlight === KEEP_TERMS.maxInFlight) {
        const what = length > MAX_REQUEST_BYTES
          ? `Size ${length - HEADER_LENGTH}`
          : "Requests in flight";
        const limit = length > MAX_REQUEST_BYTES ? KEEP_TERMS.maxLength : KEEP_TERMS.maxInFlight;
        answers.flush(connection);
        refuse(connection, "terms", `${what} exceeded maximum of ${limit}`);
        return;
      }
      if (this.#at + length > bytes.length) break;
      if (this.#at > 0 && performance.now() > end) {
        if (answers.flush(connection)) {
          this.keepRest(connection);
          this.#parts.awaitTurn(connection);
        }
        return;
      }
      copyBytes(this.#request, 0, bytes, this.#at, this.#at + length);
      this.#at += length;
      connection.inFlight++;
      if (!this.#answerNext(connection, length)) return;
    }
    if (!answers.flush(connection)) return;
    const isBegun = this.#at === 0 && connection.rest.length > 0;
    this.keepRest(connection);
    settle(connection, isBegun);
  }

  /** Makes a connection keep the requests that have not been answered yet. */
  keepRest(connection: KeptConnection): void {
    const isEmpty = this.#at === this.#bytes.length;
    connection.rest = isEmpty ? NOTHING : this.#bytes.slice(this.#at);
  }

  /** Answers the request in `#request`. Returns false if the connection can't continue now, or has ended. */
  #answerNext(connection: KeptConnection, length: number): boolean {
    const { counters, answers, end, log, retries } = this.#parts;
    const header = this.#header(connection);
    if (header === null) return false;
    const begun = counters.begin();
    counters.overKept();
    this.answered++;
    const body = this.#bodyViews.first(length - HEADER_LENGTH);
    const { type, retry } = header;
    const { fd, peer } = connection;
    // A retry can't wait here; clients send retries over separate connections, where they can.
    const isInOrder = retry === 0 || retries.isInOrder(fd, peer.pid);
    const answer = answerRequest(type, retry, isInOrder, body, peer, this.#context);
    if (answer === null) {
      counters.cutOff();
      answers.flush(connection);
      end(connection);
      return false;
    }
    if (answer.bytes === null) {
      if (answers.flush(connection)) {
        this.keepRest(connection);
        this.#parts.defer(connection, answer, type, begun);
        return false;
      }
      answer.abandon(); // its client does not read, or is gone
      end(connection);
      log.limited("kept", "info", "Failed to send message: Client does not read");
      return false;
    }
    counters.answered(type, answer.bytes[HEADER_LENGTH]!);
    const canContinue = answers.add(connection, answer);
    if (begun !== 0) counters.end(begun);
    return canContinue;
  }

  /** The header of the request in `#request`; null if it is invalid, which has ended the connection. */
  #header(connection: KeptConnection): Header | null {
    try {
      return parseHeader(this.#request);
    } catch (error) {
      if (!(error instanceof MungeError)) throw error;
      this.#parts.answers.flush(connection);
      this.#parts.refuse(connection, "header", error.message);
      return null;
    }
  }
}

/** Whether bytes contain a complete request. */
export function isComplete(bytes: Uint8Array): boolean {
  const length = requestLength(bytes, 0);
  return length !== null && length <= bytes.length;
}

/** Length of the request at `at`, including its header; null if the header has not arrived. */
function requestLength(bytes: Uint8Array, at: number): number | null {
  if (bytes.length - at < HEADER_LENGTH) return null;
  return HEADER_LENGTH + readU32(bytes, at + LENGTH);
}
