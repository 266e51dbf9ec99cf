// The engine: the threads that serve requests, seen from the main thread. It starts them, tells them what
// changes, replaces one that died, and ends them. What a thread does is in worker.ts.
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import type { Subkeys } from "../lib/keys.ts";
import { close, openPipe, shutdown, signalPipe } from "../lib/os/socket.ts";
import { threadFile } from "../lib/os/thread_file.ts";
import type { ReplayState } from "../lib/replay_cache.ts";
import type { GroupMap } from "./groups.ts";
import type { Logger, LogTarget } from "./log.ts";

/** What every worker needs to know; all of it can be posted. */
export interface EngineSettings {
  /** Descriptor of the listening, non-blocking socket. */
  readonly listener: number;
  /** Threads that serve requests. */
  readonly threads: number;
  readonly maxTtl: number;
  readonly originAddress: Uint8Array;
  /** Keys that credentials are decoded with; the first one encodes. */
  readonly ring: readonly Subkeys[];
  readonly groups: GroupMap;
  /** Null when replays are not looked for. */
  readonly replay: ReplayState | null;
  readonly log: LogTarget;
}

/** What one worker is started with. */
export interface WorkerSettings extends EngineSettings {
  /** 1 and up: its mark in `owners`. */
  readonly number: number;
  /** Read end of the pipe that tells it to look at its orders. */
  readonly wake: number;
  readonly orders: MessagePort;
  /** For each descriptor, the number of the worker that serves it, or 0. */
  readonly owners: SharedArrayBuffer;
}

/** Orders to a worker. */
export type ToWorker = { readonly kind: "groups"; readonly groups: GroupMap } | {
  readonly kind: "stop";
};

/** Reports of a worker. */
export interface FromWorker {
  readonly kind: "ready" | "stopped";
}

/** Descriptors whose worker is kept track of. */
const TRACKED_DESCRIPTORS = 65_536;
/** More deaths of workers than this within a minute end munged. */
const DEATHS_PER_MINUTE = 10;

interface Thread {
  readonly number: number;
  readonly worker: Worker;
  readonly orders: MessagePort;
  readonly wakeEnd: number;
  readonly pipeEnd: number;
  state: "starting" | "ready" | "stopped";
}

/** The running engine. */
export class Engine {
  #settings: EngineSettings;
  readonly #log: Logger;
  readonly #owners = new SharedArrayBuffer(TRACKED_DESCRIPTORS);
  readonly #threads = new Map<number, Thread>();
  readonly #deaths: number[] = [];
  #stopping = false;
  readonly #failed = Promise.withResolvers<Error>();
  #changed: () => void = () => {};

  /** Settles when the engine can't go on: workers keep dying. */
  readonly failed: Promise<Error> = this.#failed.promise;

  private constructor(settings: EngineSettings, log: Logger) {
    this.#settings = settings;
    this.#log = log;
  }

  /** Starts all threads; the promise settles once they serve requests. */
  static async start(settings: EngineSettings, log: Logger): Promise<Engine> {
    const engine = new Engine(settings, log);
    for (let number = 1; number <= settings.threads; number++) engine.#startThread(number);
    const outcome = await Promise.race([engine.#all("ready"), engine.failed]);
    if (outcome instanceof Error) throw outcome;
    return engine;
  }

  /** Puts a new group map in force. */
  updateGroups(groups: GroupMap): void {
    this.#settings = { ...this.#settings, groups };
    this.#order({ kind: "groups", groups });
  }

  /** Stops accepting, lets what is in flight finish, and ends all threads. */
  async stop(): Promise<void> {
    this.#stopping = true;
    shutdown(this.#settings.listener);
    this.#order({ kind: "stop" });
    await this.#all("stopped");
    close(this.#settings.listener);
  }

  #order(order: ToWorker): void {
    for (const thread of this.#threads.values()) {
      thread.orders.postMessage(order);
      signalPipe(thread.wakeEnd);
    }
  }

  /** Settles when every thread has come to `state`. */
  #all(state: Thread["state"]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#changed = () => {
      for (const thread of this.#threads.values()) {
        if (thread.state !== state) return;
      }
      this.#changed = () => {};
      resolve();
    };
    this.#changed();
    return promise;
  }

  #startThread(number: number): void {
    const { port1: orders, port2 } = new MessageChannel();
    orders.unref();
    const { readEnd: wake, writeEnd: wakeEnd } = openPipe();
    const owners = this.#owners;
    const workerData: WorkerSettings = { ...this.#settings, number, wake, orders: port2, owners };
    const worker = new Worker(threadFile("daemon/worker.ts"), {
      workerData,
      transferList: [port2],
    });
    const thread: Thread = { number, worker, orders, wakeEnd, pipeEnd: wake, state: "starting" };
    this.#threads.set(number, thread);
    let reason = "unexpectedly";
    worker.on("message", (message: FromWorker) => {
      thread.state = message.kind;
      this.#changed();
    });
    worker.on("error", (error) => {
      reason = `: ${error.message}`;
    });
    worker.on("exit", () => {
      this.#release(thread);
      if (thread.state === "stopped") return;
      this.#replace(thread, reason);
    });
  }

  /** Closes what a thread held: its pipe, and the clients that a thread that died can't serve any more. */
  #release(thread: Thread): void {
    thread.orders.close();
    close(thread.wakeEnd);
    close(thread.pipeEnd);
    const owners = new Uint8Array(this.#owners);
    for (let fd = owners.indexOf(thread.number); fd >= 0; fd = owners.indexOf(thread.number, fd)) {
      owners[fd] = 0;
      close(fd);
    }
  }

  #replace(thread: Thread, reason: string): void {
    this.#log.error(`Worker thread ${thread.number} ended ${reason}`);
    if (this.#stopping) {
      thread.state = "stopped";
      this.#changed();
      return;
    }
    const now = performance.now();
    while (this.#deaths.length > 0 && this.#deaths[0]! < now - 60_000) this.#deaths.shift();
    this.#deaths.push(now);
    if (this.#deaths.length > DEATHS_PER_MINUTE) {
      this.#failed.resolve(new Error("Worker threads keep ending"));
      return;
    }
    this.#startThread(thread.number);
  }
}
