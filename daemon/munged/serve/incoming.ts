// Requests as they arrive: validates headers, and collects the bytes of requests that arrive in pieces. reception.ts reads
// the sockets.
import { newBytes, release, sizeOf } from "../../../lib/bytes/memory.ts";
import { MungeError } from "../../../lib/errors.ts";
import {
  type Header,
  HEADER_LENGTH,
  maxMessageLength,
  parseHeader,
} from "../../../lib/protocol/message.ts";
import type { Logger } from "../../process/log.ts";
import type { Peer } from "./context.ts";
import type { ParkedClient, ParkedClients } from "./parked.ts";

/** A request gets at most this many times as much memory as has arrived of it. */
const GROWTH = 8;

/** The incoming requests of one worker. */
export class Incoming {
  readonly #parked: ParkedClients;
  readonly #log: Logger;
  /** Maximum length of a request's body. */
  readonly #maxLength: number;

  constructor(parked: ParkedClients, log: Logger, maxPayload: number) {
    this.#parked = parked;
    this.#log = log;
    this.#maxLength = maxMessageLength(maxPayload);
  }

  /** The header of a valid request, or null. */
  header(bytes: Uint8Array, { uid }: Peer): Header | null {
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

  /** Whether more bytes of a request are to come after these, its first ones; false for an invalid request. */
  isUnfinished(bytes: Uint8Array, count: number): boolean {
    try {
      const { length } = parseHeader(bytes);
      return length <= this.#maxLength && count < HEADER_LENGTH + length;
    } catch (error) {
      if (!(error instanceof MungeError)) throw error;
      return false;
    }
  }

  /** Memory with the first bytes of a request, and room for more of it. */
  begin(bytes: Uint8Array, { length }: Header): Uint8Array {
    const buffer = newBytes(roomFor(bytes.length, HEADER_LENGTH + length));
    buffer.set(bytes);
    return buffer;
  }

  /** Gathers bytes. */
  gather(client: ParkedClient, bytes: Uint8Array): void {
    const needed = client.done + bytes.length;
    if (needed > client.buffer.length) {
      const end = client.done < HEADER_LENGTH
        ? 0
        : HEADER_LENGTH + parseHeader(client.buffer).length;
      const grown = newBytes(Math.max(needed, roomFor(needed, end)));
      grown.set(client.buffer.subarray(0, client.done));
      const before = client.buffer;
      client.buffer = grown;
      this.#parked.grew(client, sizeOf(grown) - sizeOf(before));
      release(before);
    }
    client.buffer.set(bytes, client.done);
    this.#parked.progress(client, bytes.length);
  }

  /** Logs that a client closed its side in the middle of a request. @param bytes what it has sent; null for nothing. */
  incomplete({ uid }: Peer, received: number, bytes: Uint8Array | null): void {
    const [part, count, length] = received < HEADER_LENGTH || bytes === null
      ? ["header", received, HEADER_LENGTH]
      : ["body", received - HEADER_LENGTH, parseHeader(bytes).length];
    const text = `Received incomplete message ${part}: ${count} of ${length} bytes`;
    this.#log.client(uid, "incomplete", text);
  }

  /** Logs that a request can't be received. */
  failed(part: "header" | "body", reason: string, kind = `receive: ${reason}`): void {
    this.#log.limited(kind, "info", `Failed to receive message ${part}: ${reason}`);
  }
}

/** Room for a request: it grows with what has arrived, up to what the header claims. */
function roomFor(arrived: number, length: number): number {
  return Math.min(GROWTH * arrived, length);
}
