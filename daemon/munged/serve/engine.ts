// The engine: the threads that serve requests, as the rest of munged sees them. It starts them, tells them about changes,
// replaces dead ones, and stops them. worker_thread.ts is one of them.
import { setTimeout as sleep } from "node:timers/promises";
import { close, shutdown } from "../../../lib/os/socket.ts";
import { MESSAGE_TIMEOUT_MS } from "../../../lib/protocol/message.ts";
import type { Logger } from "../../process/log.ts";
import type { GroupMap } from "../groups/map.ts";
import { joinRealms, type Realms } from "../keys/realms.ts";
import type { StoreSource } from "../replay_store/supervisor.ts";
import { Activity, createActivity } from "./activity.ts";
import { createDescriptorTable } from "./descriptors.ts";
import { parkingLimits } from "./parking_limits.ts";
import { createStandby } from "./standby.ts";
import { createTurns } from "./turns.ts";
import { WORKER_FILE } from "./warm_workers.ts";
import type { EngineSettings, ToWorker, WorkerSettings } from "./worker_messages.ts";
import { WorkerThread } from "./worker_thread.ts";

/** Clients have the time limit of a message to finish; --stop kills munged after 5 s. */
const STOP_DEADLINE_MS = MESSAGE_TIMEOUT_MS + 1500;
/** How long workers may take to answer what they have begun, once clients have used up their grace. */
const REST_DEADLINE_MS = 3_000;
/** Pause before another attempt to start a thread. */
const RETRY_MS = 1_000;
/** More worker deaths than this within a minute stop munged. */
const DEATHS_PER_MINUTE = 10;

/** The running engine. */
export class Engine {
  #settings: EngineSettings;
  readonly #log: Logger;
  readonly #workerFile: URL;
  /** Makes a worker's ends of the realm's store. */
  readonly #store: StoreSource | null;
  readonly #shared: Pick<WorkerSettings, "activity" | "descriptors" | "standby" | "turns">;
  readonly #threads = new Map<number, WorkerThread>();
  readonly #deaths: number[] = [];
  #stopping = false;
  readonly #failed = Promise.withResolvers<Error>();
  #generation = 0;
  /** Checks to run when a thread changes. */
  readonly #waiting = new Set<() => void>();
  #handoverRequested: (fd: number) => void = close;

  /** Settles when the engine must give up because workers keep dying. */
  readonly failed: Promise<Error> = this.#failed.promise;

  private constructor(
    settings: EngineSettings,
    log: Logger,
    workerFile: URL,
    store: StoreSource | null,
  ) {
    this.#settings = settings;
    this.#log = log;
    this.#workerFile = workerFile;
    this.#store = store;
    this.#shared = {
      activity: createActivity(),
      descriptors: createDescriptorTable(),
      standby: createStandby(settings.threads),
      turns: createTurns(settings.threads),
    };
  }

  /**
   * Starts the first thread, and the others as soon as a client connects, because each takes 3 MiB that an unused munged does
   * not need. Settles once the first serves requests. A thread that ends before that is replaced, as at any other time.
   *
   * @param workerFile the code of each thread.
   * @param store the realm's store, if the settings have rules for one.
   */
  static async start(
    settings: EngineSettings,
    log: Logger,
    workerFile: URL = WORKER_FILE,
    store: StoreSource | null = null,
  ): Promise<Engine> {
    const engine = new Engine(settings, log, workerFile, store);
    const used = engine.nextRequest(); // before any client can connect
    engine.#createThread(1);
    void used.then(() => engine.#startOthers());
    await engine.#serves((threads) => threads.some(isReady));
    return engine;
  }

  /** Starts the other threads, and settles once all serve requests. @throws {Error} if they keep ending. */
  async complete(): Promise<void> {
    this.#startOthers();
    const { threads: number } = this.#settings;
    await this.#serves((threads) => threads.length === number && threads.every(isReady));
  }

  async #serves(enough: (threads: readonly WorkerThread[]) => boolean): Promise<void> {
    const outcome = await Promise.race([this.#when(enough), this.failed]);
    if (outcome instanceof Error) throw outcome;
  }

  /** Settles when a client connects, or a request is served. */
  nextRequest(): Promise<void> {
    return new Activity(this.#shared.activity).next();
  }

  /** Puts a new group map in force. */
  updateGroups(groups: GroupMap): void {
    this.#settings = { ...this.#settings, groups };
    this.#order({ kind: "groups", groups });
  }

  /**
   * Puts new realms in force. All threads can decode with a new key before any encodes with it, and all have stopped
   * encoding with an old key before any stops decoding with it.
   *
   * @returns settles when no thread uses the old realms.
   */
  async updateRealms(realms: Realms): Promise<void> {
    await this.#putInForce(joinRealms(this.#settings.realms, realms));
    await this.#putInForce(joinRealms(realms, this.#settings.realms));
    await this.#putInForce(realms);
  }

  async #putInForce(realms: Realms): Promise<void> {
    const generation = ++this.#generation;
    this.#settings = { ...this.#settings, realms };
    this.#order({ kind: "realms", realms, generation });
    await this.#all((thread) => thread.generation >= generation || thread.state === "stopped");
  }

  /** Connects all threads to the store's new thread. */
  connectStore(): void {
    for (const thread of this.#threads.values()) {
      if (thread.state === "stopped") continue;
      const { port } = this.#store!.endsFor(thread.number);
      thread.order({ kind: "store", port }, [port]);
    }
  }

  /** Makes all threads accept connections from the socket to which the listening descriptor now refers. */
  rewatchListener(): void {
    this.#order({ kind: "listen" });
  }

  /**
   * Stops accepting connections until {@linkcode accept}, and completes requests in flight.
   *
   * @param graceMs how long to wait for clients that have not sent all of their request, or not read their answer.
   * @returns whether no request is in flight any more; if not, a thread hangs.
   */
  async rest(graceMs: number): Promise<boolean> {
    this.#settings = { ...this.#settings, accepting: false };
    this.#order({ kind: "rest", graceMs });
    const timeout = sleep(graceMs + REST_DEADLINE_MS, false, { ref: false });
    const resting = this.#all((thread) => thread.isResting || thread.state === "stopped");
    return await Promise.race([resting.then(() => true), timeout]);
  }

  /** Accepts connections again. */
  accept(): void {
    this.#settings = { ...this.#settings, accepting: true };
    for (const thread of this.#threads.values()) thread.isResting = false;
    this.#order({ kind: "accept" });
  }

  /**
   * Accepts connections from a munged that is to replace this one, for the main thread.
   *
   * @param listener the descriptor of the socket; null to stop.
   * @param handoverRequested gets the descriptor of each connection.
   */
  listenForHandover(listener: number | null, handoverRequested: (fd: number) => void): void {
    this.#handoverRequested = handoverRequested;
    this.#settings = { ...this.#settings, handoverListener: listener };
    this.#order({ kind: "handover", listener });
  }

  /**
   * Stops accepting, completes requests in flight, and ends all threads; does not wait for one that hangs.
   *
   * @param isListenerShared whether another process keeps listening on the same socket, which then must not be shut down.
   */
  async stop({ isListenerShared = false } = {}): Promise<void> {
    this.#stopping = true;
    if (!isListenerShared) shutdown(this.#settings.listener);
    this.#order({ kind: "stop" });
    const timer = setTimeout(() => this.#giveUpThreads(), STOP_DEADLINE_MS);
    await this.#all((thread) => thread.state === "stopped");
    clearTimeout(timer);
    close(this.#settings.listener);
  }

  /** Treats threads that don't end as stopped; they end with the process. */
  #giveUpThreads(): void {
    for (const thread of this.#threads.values()) {
      if (thread.state === "stopped") continue;
      thread.state = "stopped";
      this.#log.error(`Worker thread ${thread.number} did not stop in time`);
    }
    this.#changed();
  }

  #order(order: ToWorker): void {
    for (const thread of this.#threads.values()) thread.order(order);
  }

  /** Settles when every thread passes the test. */
  #all(passes: (thread: WorkerThread) => boolean): Promise<void> {
    return this.#when((threads) => threads.every(passes));
  }

  #when(condition: (threads: readonly WorkerThread[]) => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = () => {
      if (!condition([...this.#threads.values()])) return;
      this.#waiting.delete(check);
      resolve();
    };
    this.#waiting.add(check);
    check();
    return promise;
  }

  #changed(): void {
    for (const check of this.#waiting) check();
  }

  #startOthers(): void {
    for (let number = 1; number <= this.#settings.threads; number++) {
      if (!this.#threads.has(number)) this.#startThread(number);
    }
  }

  /** Starts a thread, later if necessary: while other users' processes exhaust the system's limit, none can start. */
  #startThread(number: number): void {
    if (this.#stopping) return;
    try {
      this.#createThread(number);
    } catch (error) {
      const text = `Failed to start worker thread ${number}: ${(error as Error).message}`;
      this.#log.limited("worker thread", "error", text);
      setTimeout(() => {
        const state = this.#threads.get(number)?.state ?? "stopped";
        if (state === "stopped") this.#startThread(number); // unless another attempt has succeeded
      }, RETRY_MS).unref();
    }
  }

  #createThread(number: number): void {
    const { store: rules } = this.#settings;
    const ends = this.#store?.endsFor(number);
    const settings = {
      ...this.#settings,
      ...this.#shared,
      number,
      parking: parkingLimits(this.#settings),
      store: rules === null || ends === undefined ? null : { ...rules, ends },
    };
    const thread = new WorkerThread(this.#workerFile, settings, this.#generation, {
      changed: () => this.#changed(),
      handoverRequested: (fd) => this.#handoverRequested(fd),
      died: (reason) => {
        this.#replace(number, reason);
        this.#changed();
      },
    });
    this.#threads.set(number, thread);
  }

  #replace(number: number, reason: string): void {
    this.#log.error(`Worker thread ${number} ended${reason}`);
    if (this.#stopping) return;
    const now = performance.now();
    while (this.#deaths.length > 0 && this.#deaths[0]! < now - 60_000) this.#deaths.shift();
    this.#deaths.push(now);
    if (this.#deaths.length > DEATHS_PER_MINUTE) {
      this.#failed.resolve(new Error("Worker threads keep ending"));
      return;
    }
    this.#startThread(number);
  }
}

function isReady({ state }: WorkerThread): boolean {
  return state === "ready";
}
