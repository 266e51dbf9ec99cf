// A worker's side of the engine's orders: a pipe wakes it, and it takes orders from its port and carries them out.
import type { MessagePort } from "node:worker_threads";
import { drainPipe } from "../../../lib/os/socket.ts";
import type { StoreQuestions } from "../replay_store/questions.ts";
import type { HandoverListener } from "./handover_listener.ts";
import type { EventLoop } from "./event_loop.ts";
import type { ActiveConfig } from "./active_config.ts";
import type { FromWorker, ToWorker, WorkerSettings } from "./worker_messages.ts";

/** What orders affect. */
export interface OrderParts {
  readonly activeConfig: ActiveConfig;
  /** Null if there is no store. */
  readonly questions: StoreQuestions | null;
  readonly loop: EventLoop;
  /** Null for all workers but the first. */
  readonly handover: HandoverListener | null;
  report(message: FromWorker): void;
}

/** The orders to one worker. */
export class Orders {
  readonly #wake: number;
  readonly #port: MessagePort;
  readonly #parts: OrderParts;

  constructor({ wake, orders }: Pick<WorkerSettings, "wake" | "orders">, parts: OrderParts) {
    this.#wake = wake;
    this.#port = orders;
    this.#parts = parts;
  }

  /** Carries out the orders that have arrived. */
  take(): void {
    drainPipe(this.#wake);
    // Loaded only now: otherwise the first clients would wait for it.
    const { receiveMessageOnPort } = process.getBuiltinModule("node:worker_threads");
    for (;;) {
      const received = receiveMessageOnPort(this.#port) as { message: ToWorker } | undefined;
      if (received === undefined) return;
      this.#follow(received.message);
    }
  }

  #follow(order: ToWorker): void {
    const { activeConfig, questions, loop, handover, report } = this.#parts;
    switch (order.kind) {
      case "groups":
        activeConfig.groups = order.groups;
        break;
      case "realms":
        activeConfig.realms = order.realms;
        report({ kind: "realms", generation: order.generation });
        break;
      case "store":
        questions!.resendTo(order.port);
        break;
      case "listen":
        loop.rewatchListener();
        break;
      case "rest":
        loop.rest(order.graceMs);
        break;
      case "accept":
        loop.accept();
        break;
      case "handover":
        handover?.listen(order.listener);
        break;
      case "stop":
        loop.stop();
        break;
    }
  }
}
