// The servers of the store: finds its masters, keeps a connection to each, and looks for them again, with growing pauses,
// when one is lost. When there are no questions, there are no connections.
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../../process/log.ts";
import { type Access, formatAddress, readAccess } from "./access.ts";
import type { StoreFigures } from "./figures.ts";
import { Master } from "./master.ts";
import type { StoreConfig } from "./messages.ts";
import { flawsOf, unavailableText } from "./trouble.ts";
import { slotOf, SLOTS, tagIn } from "./slots.ts";
import { LOCATE, type Shard } from "./topology.ts";

const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 3_000;
/**
 * How long connections may be idle before they are closed. With an open one, the runtime wakes up every second, which
 * disturbs tightly coupled jobs; connecting again takes milliseconds.
 */
const IDLE_MS = 30_000;

/** The servers. */
export class Servers {
  readonly #config: StoreConfig;
  readonly #token: string;
  readonly #figures: StoreFigures;
  readonly #log: Logger;
  /** Open connections, by address. */
  readonly #masters = new Map<string, Master>();
  /** The master of each slot. */
  readonly #slots: (Master | undefined)[] = new Array(SLOTS);
  /** Since when there has been trouble, on the monotonic clock. */
  #troubleSince: number | null = performance.now();
  #trouble = "Not connected yet";
  #change = Promise.withResolvers<void>();
  /** Settles when the servers have to be looked for. */
  #alarm = Promise.withResolvers<void>();
  /** When the last question was asked, on the monotonic clock. */
  #lastUse = performance.now();
  /** Servers whose connections have been logged since there was last trouble. */
  readonly #announced = new Set<string>();
  /** Whether there are no connections because there were no questions. */
  #isAsleep = false;

  constructor(config: StoreConfig, token: string, figures: StoreFigures, log: Logger) {
    this.#config = config;
    this.#token = token;
    this.#figures = figures;
    this.#log = log;
    void this.#run();
  }

  /** What is wrong, if anything. */
  get trouble(): string | undefined {
    return this.#troubleSince === null ? undefined : this.#trouble;
  }

  /**
   * Whether something has been wrong for so long that questions should no longer wait: a silent server has half of a
   * question's time to answer, and this is the other half.
   */
  get isUnavailable(): boolean {
    const since = this.#troubleSince;
    return since !== null && performance.now() - since > this.#config.replayStoreTimeout / 2;
  }

  /** Settles after the next attempt to find and reach the servers. */
  get nextChange(): Promise<void> {
    return this.#change.promise;
  }

  /** The connection to the master responsible for a name, unless it is lost. */
  masterOf(name: string): Master | undefined {
    const { kind } = this.#config.replayStore;
    const master = this.#slots[kind === "cluster" ? slotOf(name) : 0];
    return master?.link.isOpen === true ? master : undefined;
  }

  /** The connection to the master at an address, `host:port`, unless there is none. */
  masterAt(address: string): Master | undefined {
    const master = this.#masters.get(address);
    return master?.link.isOpen === true ? master : undefined;
  }

  /** Call it for each question: it wakes up a store that has gone to sleep. */
  use(): void {
    this.#lastUse = performance.now();
    if (!this.#isAsleep) return;
    this.#isAsleep = false;
    this.#troubleSince = null; // it may have passed
    this.#alarm.resolve();
  }

  /** Looks for the servers again. @param reason why one of them seems lost or wrong. */
  rediscover(reason: string): void {
    if (this.#isAsleep) return;
    if (this.#troubleSince === null) {
      this.#troubleSince = performance.now();
      this.#trouble = reason;
    }
    this.#alarm.resolve();
  }

  async #run(): Promise<void> {
    for (let failures = 0;;) {
      this.#alarm = Promise.withResolvers();
      const reason = await this.#survey();
      failures = reason === null ? 0 : failures + 1;
      this.#report(reason);
      this.#change.resolve();
      this.#change = Promise.withResolvers();
      const isWoken = (reason === null || this.#isIdle) && await this.#untilNeeded();
      if (isWoken) failures = 0;
      else await sleep(pauseAfter(failures));
    }
  }

  get #isIdle(): boolean {
    return performance.now() - this.#lastUse >= IDLE_MS;
  }

  /**
   * Waits until the servers must be looked for. Closes the connections if they have been idle for a while.
   *
   * @returns whether it was woken by a question.
   */
  async #untilNeeded(): Promise<boolean> {
    const alarm = this.#alarm.promise.then(() => "alarm" as const);
    while (!this.#isIdle) {
      const timer = new AbortController();
      const quiet = sleep(this.#lastUse + IDLE_MS - performance.now(), "quiet" as const, {
        signal: timer.signal,
      }).catch(() => "quiet" as const);
      const event = await Promise.race([alarm, quiet]);
      timer.abort();
      if (event === "alarm") return false;
    }
    this.#alarm = Promise.withResolvers();
    this.#isAsleep = true;
    this.#assign([]);
    await this.#alarm.promise;
    return true;
  }

  /** Finds the masters, and connects to those without a connection. Returns what went wrong, or null. */
  async #survey(): Promise<string | null> {
    try {
      const access = readAccess(this.#config);
      const known = [...this.#masters.values()].map(({ link }) => link.address);
      const locate = LOCATE[this.#config.replayStore.kind];
      const shards = await locate(this.#config, access, known);
      const opened = await Promise.allSettled(shards.map((shard) => this.#connect(shard, access)));
      this.#assign(shards);
      const failed = opened.find((outcome) => outcome.status === "rejected");
      return failed === undefined ? null : (failed.reason as Error).message;
    } catch (error) {
      return (error as Error).message;
    }
  }

  async #connect({ address, ranges }: Shard, access: Access): Promise<void> {
    const { replayStore, replayStoreReplicas, replayStoreTimeout } = this.#config;
    const name = formatAddress(address);
    if (this.#masters.get(name)?.link.isOpen === true) return;
    const master = await Master.open(address, {
      access,
      token: this.#token,
      replicas: replayStoreReplicas,
      timeout: replayStoreTimeout,
      tag: replayStore.kind === "cluster" ? tagIn(ranges) : "",
    });
    this.#masters.set(name, master);
    this.#figures.connected();
    void master.link.closed.then(() => this.rediscover(`${name}: Connection lost`));
    this.#announce(name, master);
  }

  /** Assigns the slots to their masters, and drops masters without any. */
  #assign(shards: readonly Shard[]): void {
    const current = new Set<string>();
    this.#slots.fill(undefined);
    for (const { address, ranges } of shards) {
      const name = formatAddress(address);
      current.add(name);
      for (const [first, last] of ranges) {
        this.#slots.fill(this.#masters.get(name), first, last + 1);
      }
    }
    for (const [name, { link }] of this.#masters) {
      if (current.has(name) && link.isOpen) continue;
      this.#masters.delete(name);
      link.close();
    }
  }

  #report(reason: string | null): void {
    if (reason !== null) {
      this.#trouble = reason;
      this.#troubleSince ??= performance.now();
      this.#announced.clear();
      if (!this.isUnavailable) return;
      this.#log.limited("replay store", "error", unavailableText(reason, this.#config));
    } else this.#troubleSince = null;
    this.#figures.reachable(reason === null);
  }

  /** Logs a connection, and anything that makes the server unreliable. */
  #announce(name: string, { facts }: Master): void {
    if (this.#announced.has(name)) return;
    this.#announced.add(name);
    this.#log.notice(`Connected to replay store ${name} (version ${facts.version})`);
    for (const flaw of flawsOf(facts, this.#config)) {
      this.#log.limited("replay store flaw", "warning", `Replay store ${name} ${flaw}`);
    }
  }
}

/** Pause in milliseconds after a number of failures; random, so that hosts don't all come at once. */
function pauseAfter(failures: number): number {
  const pause = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
  return pause * (0.5 + Math.random() / 2);
}
