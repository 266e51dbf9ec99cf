// The engine: the threads that serve requests, as the main thread sees them. It starts them, tells them about changes,
// replaces dead ones, and stops them. worker.ts is the code of a thread.
import { setTimeout as sleep } from "node:timers/promises";
import type { MessagePort } from "node:worker_threads";
import { close, openPipe, shutdown, signalPipe } from "../../../lib/os/socket.ts";
import { softLimit } from "../../../lib/os/limits.ts";
import type { OverflowIds } from "../../../lib/os/user_namespace.ts";
import { MESSAGE_TIMEOUT_MS } from "../../../lib/protocol/message.ts";
import type { ReplayState } from "../replay/minutes.ts";
import type { StoreEnds } from "../replay_store/questions.ts";
import type { RealmStoreRules } from "../replay_store/scope.ts";
import type { StoreSource } from "../replay_store/supervisor.ts";
import type { GroupMap } from "../groups/map.ts";
import type { Logger, LogTarget } from "../../process/log.ts";
import type { Realm, Realms } from "../keys/realms.ts";
import { Activity, createActivity } from "./activity.ts";
import { closeDescriptorsOf, createDescriptorTable, TRACKED_DESCRIPTORS } from "./descriptors.ts";
import type { ParkingLimits } from "./parked.ts";
import { createStandby } from "./standby.ts";
import { createTurns } from "./turns.ts";
import type { StatusSources } from "../observe/status.ts";
import { takeWorker, WORKER_FILE } from "./warm_workers.ts";

/** What every worker needs; can be posted to a thread. */
export interface EngineSettings {
  /** Descriptor of the non-blocking listening socket. */
  readonly listener: number;
  /** Threads that serve requests. */
  readonly threads: number;
  /** Maximum length of a payload, in bytes. */
  readonly maxPayload: number;
  /** Bytes of clients' unfinished requests and answers that all threads together may keep. */
  readonly parkedBytes: number;
  readonly maxTtl: number;
  readonly defaultTtl: number;
  /** Seconds by which clocks may differ; null for the reference's rule. */
  readonly timestampDriftMax: number | null;
  readonly originAddress: Uint8Array;
  readonly realms: Realms;
  readonly groups: GroupMap;
  /** The IDs of clients to refuse, because they don't identify a user. */
  readonly overflow: OverflowIds;
  /** Null if replays are not detected. */
  readonly replay: ReplayState | null;
  /** Null if replays are refused on this host only. */
  readonly store: RealmStoreRules | null;
  readonly log: LogTarget;
  readonly status: StatusSources;
  /** Whether to accept connections; if not, {@linkcode Engine.accept} makes them. */
  readonly accepting: boolean;
  /** Descriptor of another listening socket, or null: the first worker accepts its connections for the main thread. */
  readonly door: number | null;
}

/** What one worker starts with. */
export interface WorkerSettings extends EngineSettings {
  readonly store: (RealmStoreRules & { readonly ends: StoreEnds }) | null;
  /** From 1: its mark in `owners`. */
  readonly number: number;
  /** Read end of the pipe that tells it to check its orders. */
  readonly wake: number;
  readonly orders: MessagePort;
  /** Memory that the threads share (activity.ts, descriptors.ts, standby.ts, turns.ts). */
  readonly activity: SharedArrayBuffer;
  readonly descriptors: SharedArrayBuffer;
  readonly standby: SharedArrayBuffer;
  readonly turns: SharedArrayBuffer;
  /** Limits on what it keeps for parked clients. */
  readonly parking: ParkingLimits;
}

/** Orders to a worker. */
export type ToWorker =
  | { readonly kind: "groups"; readonly groups: GroupMap }
  | { readonly kind: "realms"; readonly realms: Realms; readonly generation: number }
  /** The store has a new thread. */
  | { readonly kind: "store"; readonly port: MessagePort }
  /** The listening descriptor now refers to a new socket. */
  | { readonly kind: "listen" }
  /** Accept no connections, and cut off clients that are not served by then. */
  | { readonly kind: "rest"; readonly graceMs: number }
  | { readonly kind: "accept" }
  | { readonly kind: "door"; readonly door: number | null }
  | { readonly kind: "stop" };

/**
 * Reports of a worker: "failed" means that it ends for this reason, "realms" that it no longer uses any of an earlier
 * generation, "resting" that it serves no client, and "visitor" that someone has come to the door.
 */
export type FromWorker =
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "ready" | "stopped" | "resting" }
  | { readonly kind: "visitor"; readonly fd: number }
  | { readonly kind: "realms"; readonly generation: number };

/** Descriptors reserved for our own files, or half of all if there are few. */
const RESERVED_DESCRIPTORS = 256;
/** However many workers there are, each has room for some requests of the protocol's maximum length. */
const LEAST_PARKED_BYTES = 6 * 2 ** 20;
/** Room for the longest message besides what others may keep: base64 makes a credential a third longer than its payload. */
const PARKED_PAYLOADS = 1.5;
/** Clients have the time of a message to finish; --stop gives munged 5 s before it kills it. */
const STOP_DEADLINE_MS = MESSAGE_TIMEOUT_MS + 1500;
/** How long workers may take to answer what they have begun, once clients have used up their grace. */
const REST_DEADLINE_MS = 3_000;
/** More worker deaths than this within a minute stop munged. */
const DEATHS_PER_MINUTE = 10;

interface Thread {
  readonly number: number;
  readonly worker: Worker;
  readonly orders: MessagePort;
  readonly wakeEnd: number;
  readonly pipeEnd: number;
  state: "starting" | "ready" | "stopped";
  /** Generation of the realms it uses. */
  generation: number;
  /** Whether it neither accepts connections nor serves clients. */
  isResting: boolean;
}

/** The running engine. */
export class Engine {
  #settings: EngineSettings;
  readonly #log: Logger;
  readonly #workerFile: URL;
  /** Makes a worker's ends of the realm's store. */
  readonly #store: StoreSource | null;
  readonly #shared: Pick<WorkerSettings, "activity" | "descriptors" | "standby" | "turns">;
  readonly #threads = new Map<number, Thread>();
  readonly #deaths: number[] = [];
  #stopping = false;
  readonly #failed = Promise.withResolvers<Error>();
  #generation = 0;
  /** Callers that wait for threads to change. */
  readonly #waiting = new Set<() => void>();
  #visited: (fd: number) => void = close;

  /** Settles when the engine can't go on because workers keep dying. */
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
   * Starts all threads. Settles once they serve requests.
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
    for (let number = 1; number <= settings.threads; number++) engine.#startThread(number);
    const ready = engine.#all((thread) => thread.state === "ready");
    const outcome = await Promise.race([ready, engine.failed]);
    if (outcome instanceof Error) throw outcome;
    return engine;
  }

  /** Settles when a request is served. */
  nextRequest(): Promise<void> {
    return new Activity(this.#shared.activity).next();
  }

  /** Puts a new group map in force. */
  updateGroups(groups: GroupMap): void {
    this.#settings = { ...this.#settings, groups };
    this.#order({ kind: "groups", groups });
  }

  /**
   * Puts new realms in force. All threads decode with a new key before any thread encodes with it, and no thread encodes
   * with an old key any more before any thread stops decoding with it.
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
      thread.orders.postMessage({ kind: "store", port } satisfies ToWorker, [port]);
      signalPipe(thread.wakeEnd);
    }
  }

  /** Makes all threads accept connections from the socket to which the listening descriptor now refers. */
  listenAnew(): void {
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
   * Has connections to another listening socket accepted for the main thread.
   *
   * @param door its descriptor; null for none any more.
   * @param visited gets the descriptor of each connection.
   */
  attend(door: number | null, visited: (fd: number) => void): void {
    this.#visited = visited;
    this.#settings = { ...this.#settings, door };
    this.#order({ kind: "door", door });
  }

  /**
   * Stops accepting, completes requests in flight, and ends all threads; does not wait for one that hangs.
   *
   * @param isListenerShared whether another process goes on listening on the same socket, which must not be shut down.
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
    for (const thread of this.#threads.values()) {
      if (thread.state === "stopped") continue;
      thread.orders.postMessage(order);
      signalPipe(thread.wakeEnd);
    }
  }

  /** Settles when every thread passes the test. */
  #all(passes: (thread: Thread) => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = () => {
      for (const thread of this.#threads.values()) if (!passes(thread)) return;
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

  #startThread(number: number): void {
    const { port1: orders, port2 } = new MessageChannel();
    orders.unref();
    const { readEnd: wake, writeEnd: wakeEnd } = openPipe();
    const { store: rules } = this.#settings;
    const ends = this.#store?.endsFor(number);
    const settings: WorkerSettings = {
      ...this.#settings,
      ...this.#shared,
      number,
      wake,
      orders: port2,
      parking: parkingLimits(this.#settings),
      store: rules === null || ends === undefined ? null : { ...rules, ends },
    };
    const worker = takeWorker(this.#workerFile);
    worker.postMessage(settings, ends === undefined ? [port2] : [port2, ends.port]);
    const thread: Thread = {
      number,
      worker,
      orders,
      wakeEnd,
      pipeEnd: wake,
      state: "starting",
      generation: this.#generation,
      isResting: !this.#settings.accepting,
    };
    this.#threads.set(number, thread);
    let reason = " unexpectedly";
    worker.addEventListener("message", ({ data }) => {
      const message = data as FromWorker;
      switch (message.kind) {
        case "realms":
          thread.generation = message.generation;
          break;
        case "resting":
          thread.isResting = true;
          break;
        case "visitor":
          return this.#visited(message.fd);
        case "failed":
          reason = `: ${message.reason}`;
          return;
        default:
          thread.state = message.kind;
      }
      this.#changed();
    });
    worker.addEventListener("error", ({ message }) => { // its code could not be loaded
      reason = `: ${message}`;
    });
    worker.addEventListener("close", () => {
      this.#release(thread);
      if (thread.state === "stopped") return;
      thread.state = "stopped";
      this.#replace(thread, reason);
      this.#changed();
    });
  }

  /** Closes a thread's pipe, and everything else that a dead thread can't use any more. */
  #release(thread: Thread): void {
    thread.orders.close();
    close(thread.wakeEnd);
    close(thread.pipeEnd);
    closeDescriptorsOf(this.#shared.descriptors, thread.number);
  }

  #replace(thread: Thread, reason: string): void {
    this.#log.error(`Worker thread ${thread.number} ended${reason}`);
    if (this.#stopping) return;
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

/** What each thread may keep for clients, so that memory and descriptors remain for everything else. */
export function parkingLimits(
  { threads, maxPayload, parkedBytes }: Pick<
    EngineSettings,
    "threads" | "maxPayload" | "parkedBytes"
  >,
): ParkingLimits {
  const limit = Math.min(softLimit("descriptors"), TRACKED_DESCRIPTORS);
  const reserved = Math.min(RESERVED_DESCRIPTORS, limit / 2);
  const usual = Math.max(LEAST_PARKED_BYTES, Math.floor(parkedBytes / threads));
  const bytesOfUser = Math.floor(usual / 2);
  return {
    clients: Math.max(1, Math.floor((limit - reserved) / threads)),
    bytes: Math.max(usual, bytesOfUser + PARKED_PAYLOADS * maxPayload),
    bytesOfUser,
  };
}

/** The realms of both, each with the keys of both, the first one's keys first. */
function joinRealms(first: Realms, second: Realms): Realms {
  const joined = new Map<string, Realm>();
  for (const [name, realm] of [...second, ...first]) {
    const other = joined.get(name)?.ring ?? [];
    const known = new Set(realm.ring.map(({ fingerprint }) => fingerprint));
    const more = other.filter(({ fingerprint }) => !known.has(fingerprint));
    joined.set(name, { ...realm, ring: [...realm.ring, ...more] });
  }
  return joined;
}
