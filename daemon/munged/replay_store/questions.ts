// A worker's side of the store: it asks without waiting, sends all questions of a turn in one message, and is woken by a
// pipe when there are answers.
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { drainPipe } from "../../../lib/os/socket.ts";
import type { Answered, Question, Verdict } from "./messages.ts";

/** A worker's ends of its channel to the store; can be posted to a thread. */
export interface StoreEnds {
  readonly port: MessagePort;
  /** Read end of the pipe. */
  readonly wake: number;
}

/** One worker's questions. */
export class StoreQuestions {
  /** Read end of the pipe that has bytes when there are answers. */
  readonly wake: number;
  #port: MessagePort;
  #unsent: Question[] = [];
  /** Questions without an answer, by number. */
  readonly #asked = new Map<number, Question>();
  #last = 0;

  constructor({ port, wake }: StoreEnds) {
    this.#port = port;
    this.wake = wake;
  }

  /** Adds a question, which is sent at the end of the turn. Returns its number. */
  ask(question: Omit<Question, "number">): number {
    const numbered = { ...question, number: ++this.#last };
    this.#unsent.push(numbered);
    this.#asked.set(numbered.number, numbered);
    return numbered.number;
  }

  /** Cancels a question. */
  drop(number: number): void {
    this.#asked.delete(number);
  }

  /** Sends the questions of this turn. */
  flush(): void {
    if (this.#unsent.length === 0) return;
    this.#port.postMessage(this.#unsent);
    this.#unsent = [];
  }

  /** Puts all open questions to a new thread of the store. */
  resendTo(port: MessagePort): void {
    this.#port = port;
    this.#unsent = [...this.#asked.values()];
  }

  /** Takes the answers that have arrived. */
  take(answer: (number: number, verdict: Verdict) => void): void {
    drainPipe(this.wake);
    for (;;) {
      const received = receiveMessageOnPort(this.#port) as { message: Answered[] } | undefined;
      if (received === undefined) return;
      for (const { number, verdict } of received.message) {
        if (this.#asked.delete(number)) answer(number, verdict);
      }
    }
  }
}
