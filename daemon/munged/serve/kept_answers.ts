// Answers over kept connections: those to requests that arrived together are sent together. What a client does not read now
// is parked; when its connection ends, the credentials in answers that it has not received are forgotten.
import { copyBytes, newBytes } from "../../../lib/bytes/memory.ts";
import { permanentMemory } from "../../../lib/os/anonymous_memory.ts";
import { EAGAIN, errno, ptr, strerror } from "../../../lib/os/libc.ts";
import { send } from "../../../lib/os/socket.ts";
import type { Logger } from "../../process/log.ts";
import type { Remembered } from "../replay/cache.ts";
import type { Answer } from "./context.ts";
import type { KeptConnection } from "./kept_connections.ts";
import type { ParkedClients } from "./parked.ts";

/** Bytes of answers sent at once; a longer answer is sent alone. */
const BATCH_LENGTH = 65_536;
const NO_ANSWER: Answer = { bytes: new Uint8Array(0), remembered: null };

/** What this needs from the exchange. */
export interface KeptAnswersParts {
  readonly log: Logger;
  readonly parked: ParkedClients;
  /** Stops reading from a connection that will be parked. */
  suspend(connection: KeptConnection): void;
  /** Ends a connection whose client is gone. */
  end(connection: KeptConnection): void;
  /** Removes the replay entry of an answer that was not delivered. */
  forget(remembered: Remembered): void;
}

/** The answers of one worker, which serves one connection at a time. */
export class KeptAnswers {
  readonly #parts: KeptAnswersParts;
  /** Answers not sent yet. */
  readonly #batch = new Uint8Array(permanentMemory(BATCH_LENGTH));
  readonly #batchAddress: number = ptr(this.#batch);
  #batched = 0;

  constructor(parts: KeptAnswersParts) {
    this.#parts = parts;
  }

  /** Begins with another connection, which must never get answers that an exception left behind. */
  begin(): void {
    this.#batched = 0;
  }

  /**
   * Queues an answer behind those not sent yet; sends them first if there is no room.
   *
   * @returns false if the client does not read, or is gone.
   */
  add(connection: KeptConnection, answer: Answer): boolean {
    const { bytes, remembered } = answer;
    if (this.#batched + bytes.length > BATCH_LENGTH) {
      if (bytes.length > BATCH_LENGTH) {
        return this.flush(connection, answer) && this.sendAlone(connection, answer);
      }
      if (!this.flush(connection, answer)) return false;
    }
    copyBytes(this.#batch, this.#batched, bytes, 0, bytes.length);
    this.#batched += bytes.length;
    if (remembered !== null) connection.undelivered.push({ remembered, end: this.#batched });
    return true;
  }

  /** Sends an answer when no other is queued. Returns false if the client does not read, or is gone. */
  sendAlone(connection: KeptConnection, { bytes, remembered }: Answer): boolean {
    if (remembered !== null) connection.undelivered.push({ remembered, end: bytes.length });
    return this.#send(connection, bytes, ptr(bytes));
  }

  /**
   * Sends the queued answers.
   *
   * @param next another answer, which is parked behind them if the client does not read now.
   * @returns false if the client does not read, or is gone.
   */
  flush(connection: KeptConnection, next?: Answer): boolean {
    const length = this.#batched;
    if (length === 0) return true;
    this.#batched = 0;
    return this.#send(connection, this.#batch, this.#batchAddress, next, length);
  }

  /** Sends bytes; if the client does not read them all now, parks the connection with the rest and `next` after it. */
  #send(
    connection: KeptConnection,
    bytes: Uint8Array,
    address: number,
    next: Answer = NO_ANSWER,
    length = bytes.length,
  ): boolean {
    const count = send(connection.fd, address, length);
    if (count === length) {
      if (connection.undelivered.length > 0) connection.undelivered = [];
      return true;
    }
    if (count < 0 && errno() !== EAGAIN) {
      const reason = strerror(errno());
      this.#parts.log.limited(`send: ${reason}`, "info", `Failed to send message: ${reason}`);
      if (next.remembered !== null) this.#parts.forget(next.remembered);
      this.#parts.end(connection);
      return false;
    }
    this.#park(connection, bytes.subarray(Math.max(count, 0), length), Math.max(count, 0), next);
    return false;
  }

  /** Parks a connection whose client has read the first `done` bytes, with the rest and `next`. */
  #park(connection: KeptConnection, rest: Uint8Array, done: number, next: Answer): void {
    const { fd, peer } = connection;
    const buffer = newBytes(rest.length + next.bytes.length);
    buffer.set(rest);
    buffer.set(next.bytes, rest.length);
    delivered(connection, done);
    const { undelivered } = connection;
    for (const each of undelivered) each.end -= done;
    if (next.remembered !== null) {
      undelivered.push({ remembered: next.remembered, end: buffer.length });
    }
    this.#parts.suspend(connection);
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
  }
}

/** Records that a client has read the first `count` bytes of its answers. */
export function delivered(connection: KeptConnection, count: number): void {
  connection.undelivered = connection.undelivered.filter(({ end }) => end > count);
}
