// One thread of the engine as the main thread sees it: its start, its orders, its reports, and what it leaves behind.
// worker.ts is its code.
import type { MessagePort } from "node:worker_threads";
import { close, openPipe, signalPipe } from "../../../lib/os/socket.ts";
import { closeDescriptorsOf } from "./descriptors.ts";
import { takeWorker } from "./warm_workers.ts";
import type { FromWorker, ToWorker, WorkerSettings } from "./worker_messages.ts";

/** What the engine does when something happens to a thread. */
export interface WorkerThreadEvents {
  /** The thread's state or generation has changed, or it has come to rest. */
  changed(): void;
  /** The thread has accepted a connection from a munged that is to replace this one. */
  handoverRequested(fd: number): void;
  /** The thread has ended without being told to. @param reason continues "Worker thread 1 ended". */
  died(reason: string): void;
}

/** A thread that serves requests. */
export class WorkerThread {
  readonly number: number;
  state: "starting" | "ready" | "stopped" = "starting";
  /** Whether it neither accepts connections nor serves clients. */
  isResting: boolean;
  #generation: number;
  readonly #worker: Worker;
  readonly #orders: MessagePort;
  readonly #wake: number;
  readonly #wakeEnd: number;
  readonly #descriptors: SharedArrayBuffer;
  readonly #events: WorkerThreadEvents;
  /** Why it ends, if it does. */
  #reason = " unexpectedly";

  /**
   * @param file its code.
   * @param generation of the realms in its settings.
   */
  constructor(
    file: URL,
    settings: Omit<WorkerSettings, "orders" | "wake">,
    generation: number,
    events: WorkerThreadEvents,
  ) {
    const { number, store, accepting, descriptors } = settings;
    this.number = number;
    this.isResting = !accepting;
    this.#generation = generation;
    this.#descriptors = descriptors;
    this.#events = events;
    const { readEnd, writeEnd } = openPipe();
    this.#wake = readEnd;
    this.#wakeEnd = writeEnd;
    try {
      this.#worker = takeWorker(file);
    } catch (error) {
      close(writeEnd);
      close(readEnd);
      throw error;
    }
    const { port1, port2 } = new MessageChannel();
    port1.unref();
    this.#orders = port1;
    this.#worker.postMessage(
      { ...settings, wake: readEnd, orders: port2 } satisfies WorkerSettings,
      store === null ? [port2] : [port2, store.ends.port],
    );
    this.#worker.addEventListener("message", ({ data }) => this.#hear(data as FromWorker));
    this.#worker.addEventListener("error", ({ message }) => { // its code could not be loaded
      this.#reason = `: ${message}`;
    });
    this.#worker.addEventListener("close", () => this.#end());
  }

  /** Generation of the realms it uses. */
  get generation(): number {
    return this.#generation;
  }

  /** Gives it an order, unless it has stopped. @param ports the ports in the order. */
  order(order: ToWorker, ports: MessagePort[] = []): void {
    if (this.state === "stopped") return;
    this.#orders.postMessage(order, ports);
    signalPipe(this.#wakeEnd);
  }

  #hear(report: FromWorker): void {
    switch (report.kind) {
      case "realms":
        this.#generation = report.generation;
        break;
      case "resting":
        this.isResting = true;
        break;
      case "handover":
        return this.#events.handoverRequested(report.fd);
      case "failed":
        this.#reason = `: ${report.reason}`;
        return;
      default:
        this.state = report.kind;
    }
    this.#events.changed();
  }

  /** Closes its pipe, and everything else that a dead thread can't use any more. */
  #end(): void {
    this.#orders.close();
    close(this.#wakeEnd);
    close(this.#wake);
    closeDescriptorsOf(this.#descriptors, this.number);
    if (this.state === "stopped") return;
    this.state = "stopped";
    this.#events.died(this.#reason);
  }
}
