// Delivers answers: they are made in memory that is reused, sent at once, parked if the client does not read them now, and
// forgotten by the replay cache if it never does. Answers over kept connections are in kept_answers.ts.
import { copyOf, release } from "../../../lib/bytes/memory.ts";
import { EAGAIN, EINTR, errno, ptr, strerror } from "../../../lib/os/libc.ts";
import { send } from "../../../lib/os/socket.ts";
import type { Logger } from "../../process/log.ts";
import type { Remembered, ReplayCache } from "../replay/cache.ts";
import { AnswerMemory } from "./answer_memory.ts";
import type { Answer, Peer } from "./context.ts";
import type { Descriptors } from "./descriptors.ts";
import { delivered } from "./kept_answers.ts";
import type { KeptExchange } from "./kept_exchange.ts";
import type { ParkedClient, ParkedClients } from "./parked.ts";

/** What this needs from the exchange. */
export interface DeliveryParts {
  readonly descriptors: Descriptors;
  readonly parked: ParkedClients;
  readonly log: Logger;
  readonly replayCache: ReplayCache | null;
  /** The kept connections, which continue once their answers are delivered. */
  kept(): KeptExchange;
}

/** The deliveries of one worker. */
export class Delivery {
  readonly #parts: DeliveryParts;
  readonly #memory = new AnswerMemory();

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  /** Memory for a response, valid until the next request. */
  allocate(length: number): Uint8Array {
    return this.#memory.allocate(length);
  }

  /** Sends an answer and closes the connection, or parks the client with what it does not read now. */
  begin(fd: number, peer: Peer, answer: Answer): void {
    const { descriptors, parked } = this.#parts;
    const { bytes } = answer;
    const isReused = this.#memory.isReused(bytes);
    const count = send(fd, this.#memory.addressOf(bytes), bytes.length);
    if (count === bytes.length) {
      descriptors.hangUp(fd);
      if (!isReused) release(bytes);
    } else if (count >= 0 || errno() === EAGAIN) {
      const buffer = isReused ? copyOf(bytes) : bytes;
      const done = Math.max(count, 0);
      parked.park({
        fd,
        peer: { ...peer },
        deadline: 0,
        buffer,
        done,
        answer,
        isWatched: true,
      });
    } else {
      this.fail({ fd }, answer, strerror(errno()));
      if (!isReused) release(bytes);
    }
  }

  /** Sends more of its answer to a parked client. */
  sendMore(client: ParkedClient, answer: Answer): void {
    const { descriptors, parked, kept } = this.#parts;
    const { fd, buffer } = client;
    const count = send(fd, ptr(buffer) + client.done, buffer.length - client.done);
    if (count < 0) {
      if (errno() === EAGAIN || errno() === EINTR) return;
      const reason = strerror(errno());
      parked.remove(client);
      this.fail(client, answer, reason);
      return;
    }
    parked.progress(client, count);
    if (client.done < buffer.length) {
      if (client.kept !== undefined) delivered(client.kept, client.done);
      return;
    }
    parked.remove(client);
    if (client.kept !== undefined) kept().sent(client.kept);
    else descriptors.hangUp(fd);
  }

  /** Removes the replay entry of an undelivered answer, so that the client's next attempt is not a replay. */
  fail(client: Pick<ParkedClient, "fd" | "kept">, answer: Answer, reason: string): void {
    this.#parts.log.limited(`send: ${reason}`, "info", `Failed to send message: ${reason}`);
    if (answer.remembered !== null) this.forget(answer.remembered);
    this.hangUp(client);
  }

  /** Ends the connection of a client that is no longer parked. */
  hangUp({ fd, kept }: Pick<ParkedClient, "fd" | "kept">): void {
    if (kept !== undefined) this.#parts.kept().end(kept);
    else this.#parts.descriptors.hangUp(fd);
  }

  /** Removes the replay entry of an answer. */
  forget(remembered: Remembered): void {
    this.tryToForget(() => this.#parts.replayCache!.forget(remembered));
  }

  /** Lets `forget` remove a replay entry, and logs its failure. */
  tryToForget(forget: () => void): void {
    try {
      forget();
    } catch (error) {
      const reason = (error as Error).message;
      this.#parts.log.limited(
        "forget credential",
        "error",
        `Failed to forget credential: ${reason}`,
      );
    }
  }
}
