// Renewals at the KDC by several threads, so that a slow KDC holds up only one of them.
import { Worker } from "node:worker_threads";
import { threadFile } from "../../lib/os/thread_file.ts";
import type { KdcResult, KdcTask } from "./kdc_task.ts";

interface Waiting {
  readonly task: KdcTask;
  resolve(result: KdcResult): void;
}

/** Threads that renew tickets; started on demand. */
export class KdcThreads {
  readonly #limit: number;
  readonly #idle: Worker[] = [];
  readonly #all = new Set<Worker>();
  readonly #queue: Waiting[] = [];
  readonly #running = new Map<Worker, Waiting>();
  #tasks = 0;

  /** @param limit maximum number of concurrent renewals. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Renews a KRB-CRED, which the thread wipes. */
  renew(krbCred: Uint8Array): Promise<KdcResult> {
    return new Promise((resolve) => {
      this.#queue.push({ task: { id: ++this.#tasks, krbCred }, resolve });
      this.#dispatch();
    });
  }

  /** Ends all threads, abandoning renewals in progress. */
  async stop(): Promise<void> {
    await Promise.all([...this.#all].map((worker) => worker.terminate()));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const worker = this.#idle.pop() ?? this.#start();
      if (worker === undefined) return;
      const waiting = this.#queue.shift()!;
      this.#running.set(worker, waiting);
      worker.postMessage(waiting.task);
    }
  }

  #start(): Worker | undefined {
    if (this.#all.size >= this.#limit) return undefined;
    const worker = new Worker(threadFile("daemon/auksdrenewer/kdc_thread.ts"));
    this.#all.add(worker);
    worker.on("message", (result: KdcResult) => {
      this.#finish(worker, result);
      this.#idle.push(worker);
      this.#dispatch();
    });
    worker.on("error", (error) => {
      this.#all.delete(worker);
      const id = this.#running.get(worker)?.task.id ?? 0;
      this.#finish(worker, { id, failure: error.message, silent: false });
      this.#dispatch();
    });
    return worker;
  }

  #finish(worker: Worker, result: KdcResult): void {
    this.#running.get(worker)?.resolve(result);
    this.#running.delete(worker);
  }
}
