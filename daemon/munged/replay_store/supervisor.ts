// The store's thread as the main thread sees it: starts it, starts another one if it dies, and makes the channels between it
// and the workers.
import { randomBytes } from "node:crypto";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { close, openPipe } from "../../../lib/os/socket.ts";
import { threadFile } from "../../../lib/os/thread_file.ts";
import type { Logger } from "../../process/log.ts";
import type { LogTarget } from "../../process/log_target.ts";
import { readAccess } from "./access.ts";
import { createStoreFigures } from "./figures.ts";
import type { Channel, StoreConfig, StoreThreadSettings, ToStoreThread } from "./messages.ts";
import type { StoreEnds } from "./questions.ts";

/** Makes channels for workers. */
export interface StoreSource {
  /** A worker's ends of a new channel, which replaces its earlier one. */
  endsFor(worker: number): StoreEnds;
}

const THREAD_FILE = threadFile("daemon/munged/replay_store/thread.ts");
/** Pause before a thread that died is replaced. */
const RESTART_PAUSE_MS = 1_000;
const TOKEN_BYTES = 9;

/** The store's thread. */
export class StoreThread implements StoreSource {
  /** Memory of figures.ts. */
  readonly figures: SharedArrayBuffer = createStoreFigures();
  readonly #config: StoreConfig;
  readonly #file: URL;
  readonly #token = randomBytes(TOKEN_BYTES).toString("base64url");
  readonly #target: LogTarget;
  readonly #log: Logger;
  /** By worker. They stay open when a worker or the thread is replaced, because either may still write to them. */
  readonly #pipes = new Map<number, { readEnd: number; writeEnd: number }>();
  #worker: Worker | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;
  /** Called when there is a new thread, to which all workers need new channels. */
  onRestart: () => void = () => {};

  /**
   * @param file the code of the thread.
   * @throws {MungeError} if the password or CA file can't be used.
   */
  constructor(config: StoreConfig, target: LogTarget, log: Logger, file: URL = THREAD_FILE) {
    this.#config = config;
    this.#file = file;
    this.#target = target;
    this.#log = log;
    readAccess(config); // to report mistakes now
    this.#start();
  }

  endsFor(worker: number): StoreEnds {
    let pipe = this.#pipes.get(worker);
    if (pipe === undefined) this.#pipes.set(worker, pipe = openPipe());
    const { port1, port2 } = new MessageChannel();
    const channel: Channel = { port: port1, wakeEnd: pipe.writeEnd };
    this.#post({ kind: "channel", channel }, [port1]);
    return { port: port2, wake: pipe.readEnd };
  }

  /** Ends the thread, once no worker uses it any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#worker?.terminate();
    for (const { readEnd, writeEnd } of this.#pipes.values()) {
      close(readEnd);
      close(writeEnd);
    }
  }

  #start(): void {
    const worker = this.#worker = new Worker(this.#file);
    const settings: StoreThreadSettings = {
      config: this.#config,
      token: this.#token,
      log: this.#target,
      figures: this.figures,
    };
    this.#post({ kind: "start", settings });
    let reason = " unexpectedly";
    worker.on("error", (error) => {
      reason = `: ${error.message}`;
    });
    worker.on("exit", () => {
      if (this.#isStopped) return;
      this.#worker = undefined;
      this.#log.limited("store thread", "error", `Thread of the replay store ended${reason}`);
      this.#timer = setTimeout(() => {
        this.#start();
        this.onRestart();
      }, RESTART_PAUSE_MS);
    });
  }

  #post(order: ToStoreThread, transfer: readonly MessagePort[] = []): void {
    this.#worker?.postMessage(order, [...transfer]);
  }
}
