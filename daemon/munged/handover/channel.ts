// A connection between a running munged and the one that replaces it. Messages arrive in order, and each is awaited for a
// limited time.
import { close } from "../../../lib/os/socket.ts";
import { type Packet, receivePacket, sendPacket } from "../../../lib/os/packet_socket.ts";
import { systemCode } from "../../../lib/os/system_text.ts";
import { ready } from "../../../lib/os/unix_stream.ts";
import { printable } from "../../../lib/printable.ts";
import {
  formatMessage,
  type Kind,
  type Message,
  type MessageOf,
  parseMessage,
} from "./messages.ts";

/** How long each check for a message may block the main thread. */
const POLL_MS = 2;

/** The errors if the other side has closed the connection, perhaps before receiving everything. */
const CLOSED_CODES: readonly (string | undefined)[] = ["EPIPE", "ECONNRESET"];

/** The other side is gone, or has given up. */
export class ChannelClosed extends Error {
  override readonly message = "Connection closed";
}

/** The other side refuses. */
export class HandoverRefused extends Error {}

/** One side of the connection. */
export class Channel {
  readonly #fd: number;
  #isClosed = false;

  /** @param fd of the connection, which {@linkcode close} closes. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Sends a message. If the other side is gone, {@linkcode expect} reports that, after what it has sent before. */
  send(message: Message, passed: number | null = null): void {
    if (this.#isClosed) return;
    try {
      sendPacket(this.#fd, formatMessage(message), passed);
    } catch (error) {
      if (!CLOSED_CODES.includes(systemCode(error))) throw error;
    }
  }

  /**
   * Waits for the next message, which must be of this kind.
   *
   * @param milliseconds Infinity to wait until the other side is gone.
   * @returns the message and the descriptor that came with it.
   * @throws {ChannelClosed} if the other side is gone, {HandoverRefused} if it refuses, {Error} for any other message, or
   * after that time.
   */
  async expect<K extends Kind>(
    kind: K,
    milliseconds: number,
  ): Promise<{ readonly message: MessageOf<K>; readonly passed: number | null }> {
    const deadline = performance.now() + milliseconds;
    for (;;) {
      if (this.#isClosed) throw new ChannelClosed();
      ready(this.#fd, "read", POLL_MS);
      const packet = this.#receive();
      if (packet === "closed") throw new ChannelClosed();
      if (packet !== null) return { message: this.#parse(kind, packet), passed: packet.passed };
      if (performance.now() > deadline) throw new Error("No answer in time");
      await new Promise(setImmediate); // lets workers, signals and timers run
    }
  }

  #receive(): Packet | "closed" | null {
    try {
      return receivePacket(this.#fd);
    } catch (error) {
      if (!CLOSED_CODES.includes(systemCode(error))) throw error;
      return receivePacket(this.#fd); // the error comes first, but earlier packets can still be read
    }
  }

  #parse<K extends Kind>(
    kind: K,
    { bytes, passed }: { readonly bytes: Uint8Array; readonly passed: number | null },
  ): MessageOf<K> {
    try {
      const message = parseMessage(bytes);
      if (message.kind === "refused") throw new HandoverRefused(printable(message.reason));
      if (message.kind !== kind) throw new Error(`Received "${message.kind}" instead of "${kind}"`);
      return message as MessageOf<K>;
    } catch (error) {
      if (passed !== null) close(passed);
      throw error;
    }
  }

  /** Closes the connection; anyone waiting for a message learns of it. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    close(this.#fd);
  }
}
