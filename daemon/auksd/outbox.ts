// One client's replies on their way: what its socket does not accept waits here until it does. Replies are wiped once they are
// sent or the client is gone.
import type { Garbage } from "./garbage.ts";

/** Longer replies, which only a DUMP can get, are collected at once. */
const LARGE = 2 ** 20;
/** Number of copies of a reply: plaintext and ciphertext. */
const COPIES = 2;

/** A reply that the socket has not accepted completely. */
interface Unsent {
  readonly bytes: Uint8Array;
  readonly done: (() => void) | undefined;
}

/** The replies that a client has yet to read. */
export class Outbox {
  readonly #write: (bytes: Uint8Array) => number;
  readonly #garbage: Garbage;
  readonly #unsent: Unsent[] = [];
  /** Bytes of the first one that the socket has accepted. */
  #sent = 0;

  /** @param write gives bytes to the socket; returns how many it accepted, or a negative number. */
  constructor(write: (bytes: Uint8Array) => number, garbage: Garbage) {
    this.#write = write;
    this.#garbage = garbage;
  }

  /** Whether the socket has accepted everything. */
  get isEmpty(): boolean {
    return this.#unsent.length === 0;
  }

  /** Bytes of the replies kept. */
  get bytes(): number {
    let bytes = 0;
    for (const reply of this.#unsent) bytes += reply.bytes.length;
    return bytes;
  }

  /** Sends a reply behind those before it. @param done is called when it is sent, or never will be. */
  send(bytes: Uint8Array, done: (() => void) | undefined): void {
    this.#garbage.add(bytes.length * COPIES);
    if (this.isEmpty) {
      const sent = this.#write(bytes);
      if (sent >= bytes.length) {
        this.#dispose({ bytes, done });
        return;
      }
      this.#sent = Math.max(0, sent);
    }
    this.#unsent.push({ bytes, done });
  }

  /** Continues, because the socket accepts more. Returns whether it has accepted any. */
  drain(): boolean {
    let hasSent = false;
    while (!this.isEmpty) {
      const { bytes } = this.#unsent[0]!;
      const sent = this.#write(bytes.subarray(this.#sent));
      if (sent <= 0) break;
      hasSent = true;
      this.#sent += sent;
      if (this.#sent < bytes.length) break;
      this.#sent = 0;
      this.#dispose(this.#unsent.shift()!);
    }
    return hasSent;
  }

  /** Discards everything, because the client is gone. */
  clear(): void {
    for (const reply of this.#unsent) this.#dispose(reply);
    this.#unsent.length = 0;
  }

  #dispose({ bytes, done }: Unsent): void {
    bytes.fill(0);
    if (bytes.length > LARGE) this.#garbage.collect(); // before the next one is made
    done?.();
  }
}
