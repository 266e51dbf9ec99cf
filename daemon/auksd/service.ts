// A running auksd: its start, its signals and its shutdown. All problems with files, keys and ports are found before it
// serves or changes anything (preparation.ts). connection_host.ts has what it does for its clients.
import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { AuksError } from "../../lib/auks/errors.ts";
import { softLimit } from "../../lib/os/limits.ts";
import { forbidCoreDumps, lockMemory } from "../../lib/os/process.ts";
import { releaseProgramPages } from "../../lib/os/program_pages.ts";
import { close } from "../../lib/os/socket.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { MAX_TIMER_MS } from "../../lib/timer.ts";
import type { AuksLog } from "../process/auks_log.ts";
import type { AnnounceReady } from "../process/background.ts";
import { type FileLock, lockDirectory, removeLock } from "../process/lock_file.ts";
import { removePidFile, writePidFile } from "../process/pid_file.ts";
import { notifyManager } from "../process/systemd.ts";
import { Teardown } from "../process/teardown.ts";
import { Accounts } from "./accounts.ts";
import {
  type AuksdConfiguration,
  describeConfiguration,
  describeFailure,
  readConfiguration,
} from "./configuration.ts";
import { AuksdHost } from "./connection_host.ts";
import { InProgress } from "./in_progress.ts";
import { Journal } from "./journal.ts";
import { openListeners } from "./listeners.ts";
import { type LogChoice, openLog } from "./log.ts";
import { startMetrics } from "./metrics.ts";
import { prepare, type Prepared } from "./preparation.ts";
import { Removals } from "./removals.ts";
import { Replication } from "./replication.ts";
import { Server } from "./server.ts";
import { Store } from "./store.ts";
import { StoreUpkeep } from "./store_upkeep.ts";

/** How auksd was started. */
export interface AuksdStart {
  readonly configuration: AuksdConfiguration;
  /** Its absolute path. */
  readonly file: string;
  readonly log: LogChoice;
  /** Whether it runs, or will run, in the background. */
  readonly background: boolean;
}

/** How many requests of one user may be in progress at a time, and what share of all connections they may take. */
const REQUESTS_OF_USER_MAX = 1_000;
const USER_SHARE = 1 / 4;
/** Descriptors reserved for files, threads and the name service. */
const RESERVED_DESCRIPTORS = 64;
/** How long replies in progress may take when auksd stops. */
const GRACE_MS = 3_000;
/** How often to look up the addresses of hosts in the ACL again. */
const HOSTS_INTERVAL_MS = 60_000;
const MIN_CLEAN_DELAY_S = 1;
/** When startup is over, and most of its code no longer needed. */
const SETTLED_MS = 2_000;

/**
 * Serves until a signal stops it.
 *
 * @param announceReady called once it serves.
 * @returns the exit status.
 * @throws {AuksError} if it can't start; everything it has opened is then closed again.
 */
export async function serve(start: AuksdStart, announceReady: AnnounceReady): Promise<number> {
  process.on("SIGHUP", () => {}); // until it can be handled; by default it would end auksd
  forbidCoreDumps();
  if (start.configuration.config.own.lockMemory) lockMemory();
  let auksd: Auksd | undefined;
  const log = (text: string) => auksd?.log.info(1, `auksd     : ${text}`);
  const accounts = new Accounts(log);
  const teardown = new Teardown({ error: log });
  teardown.add(() => accounts.stop());
  try {
    auksd = new Auksd(start, await prepare(start.configuration, accounts), accounts, teardown);
    await auksd.start();
    announceReady();
    notifyManager("READY=1");
    await auksd.ended;
    notifyManager("STOPPING=1");
    auksd.announceEnd();
  } finally {
    await teardown.disposeAsync();
  }
  log("exiting");
  return 0;
}

/** Warns the user who started auksd, until it is in the background. */
function printWarning(text: string): void {
  try {
    writeSync(2, `auksd: Warning: ${text}\n`);
  } catch {
    // Standard error is closed; the log also has the warning.
  }
}

/** The daemon. */
class Auksd {
  log: AuksLog;
  readonly ended: Promise<void>;
  readonly #start: AuksdStart;
  readonly #accounts: Accounts;
  readonly #store: Store;
  readonly #upkeep: StoreUpkeep;
  readonly #host: AuksdHost;
  readonly #server: Server;
  readonly #journal: Journal;
  readonly #teardown: Teardown;
  #listeners: readonly number[] = [];
  /** Those of all directories used so far. */
  readonly #locks: FileLock[] = [];
  /** Disposing this ends the recurring tasks of the current configuration. */
  #chores = new DisposableStack();
  readonly #end: () => void;
  readonly #served = Promise.withResolvers<void>();
  /** Settles when auksd serves and all SIGHUPs so far have been handled: one that came earlier would not move its port. */
  #reloading: Promise<void> = this.#served.promise;

  /** @param teardown gets the steps of the shutdown, as they become necessary. */
  constructor(start: AuksdStart, prepared: Prepared, accounts: Accounts, teardown: Teardown) {
    this.#start = start;
    this.#accounts = accounts;
    this.#teardown = teardown;
    const log = () => this.log;
    this.log = openLog(start.log, prepared.configuration.config.auksd, printWarning);
    this.#store = new Store(prepared.directory);
    this.#upkeep = new StoreUpkeep(this.#store, accounts, log);
    this.#journal = new Journal(log);
    const connections = maxConnections();
    this.#host = new AuksdHost(prepared, {
      store: this.#store,
      accounts,
      inProgress: new InProgress(Math.min(REQUESTS_OF_USER_MAX, connections * USER_SHARE)),
      journal: this.#journal,
      log,
    });
    this.#server = new Server(this.#host, { maxConnections: connections });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
  }

  /** Binds the port, locks and loads the directory, and serves. @throws {AuksError} */
  async start(): Promise<void> {
    const teardown = this.#teardown; // the last step comes first
    const { configuration, warnings } = this.#host.prepared;
    const { cacheDir } = configuration.config.auksd;
    teardown.add(() => this.#host.authenticator.retire());
    this.#logLines(describeConfiguration(configuration));
    this.#warn(warnings);
    if (this.#start.background) process.chdir(cacheDir);
    const unserved = this.#listen(configuration);
    teardown.add(() => unserved.forEach(close));
    teardown.add(() => this.#removeLocks());
    this.#takeDirectory(cacheDir);
    this.#writePidFile(configuration.config.own.pidFile);
    teardown.add(() => Promise.race([this.#store.stop(), sleep(GRACE_MS)]));
    // Before the store stops, so that no request that waits for an account is stored after that.
    teardown.add(() => this.#accounts.stop());
    teardown.add(() => this.#host.replication?.stop());
    teardown.add(() => this.#server.stop(GRACE_MS));
    teardown.add(() => this.#chores.dispose());
    this.#catchSignals();
    this.#startChores();
    await this.#upkeep.load();
    await this.#upkeep.clean();
    this.#serve(unserved.splice(0));
    await this.#replicate();
    this.#served.resolve();
    setTimeout(releaseProgramPages, SETTLED_MS).unref();
  }

  #logLines(lines: readonly (readonly [number, string])[]): void {
    for (const [level, text] of lines) this.log.info(level, text);
  }

  #warn(warnings: readonly string[]): void {
    for (const warning of warnings) {
      this.log.info(1, `auksd_engine: ${warning}`);
      if (this.#start.log.kind !== "stdout") printWarning(warning);
    }
  }

  #listen({ server, config }: AuksdConfiguration): number[] {
    try {
      const listeners = openListeners(server.address, server.port, config.auksd.queueSize);
      const [first] = listeners;
      const place = `${server.address}:${server.port}`;
      this.log.info(1, `dispatcher: auksd stream created on ${place} (fd is ${first})`);
      this.log.info(1, `dispatcher: socket ${first} listening queue successfully specified`);
      return listeners;
    } catch (error) {
      this.log.info(1, `dispatcher: unable to create stream on ${server.address}:${server.port}`);
      throw error;
    }
  }

  #takeDirectory(directory: string): void {
    try {
      this.#locks.push(lockDirectory(directory, "auksd"));
    } catch (error) {
      throw new AuksError("REPO_CACHE_DIR_OPEN", systemText(error));
    }
  }

  #removeLocks(): void {
    for (const lock of this.#locks) {
      removeLock(lock, { warning: (text) => this.log.info(1, text) });
    }
  }

  #writePidFile(path: string): void {
    if (path === "") return;
    const logger = { warning: (text: string) => this.log.info(1, `auksd     : ${text}`) };
    writePidFile(path, { force: false, trustedGroup: null }, logger);
    this.#teardown.add(() => removePidFile(path, logger));
  }

  /** Starts the recurring tasks of the current configuration, and ends those of the previous one. */
  #startChores(): void {
    if (this.#chores.disposed) return; // auksd is stopping
    this.#chores.dispose();
    this.#chores = new DisposableStack();
    const every = (milliseconds: number, task: () => Promise<void>) => {
      const timer = setInterval(() => void task(), Math.min(milliseconds, MAX_TIMER_MS));
      this.#chores.defer(() => clearInterval(timer));
    };
    const { auksd, own: { metricsFile } } = this.#host.prepared.configuration.config;
    every(Math.max(auksd.cleanDelay, MIN_CLEAN_DELAY_S) * 1000, () => this.#upkeep.tidy());
    every(HOSTS_INTERVAL_MS, () => this.#host.refreshHosts());
    if (metricsFile === "") return;
    const sources = { journal: this.#journal, store: this.#store, server: this.#server };
    const complain = (text: string) => this.log.info(1, `auksd     : ${text}`);
    this.#chores.defer(startMetrics(metricsFile, sources, complain));
  }

  /** Serves on these sockets only. */
  #serve(listeners: readonly number[]): void {
    for (const fd of listeners) this.#server.listen(fd);
    for (const fd of this.#listeners) this.#server.unlisten(fd);
    this.#listeners = listeners;
  }

  /** Starts or stops forwarding to the other auksd, as configured. */
  async #replicate(): Promise<void> {
    const host = this.#host;
    await host.replication?.stop();
    host.replication = undefined;
    const { config, peer, keytab } = host.prepared.configuration;
    if (!config.own.replicate || peer === undefined) return;
    host.replication = new Replication(
      { peer, principal: host.authenticator.principal, keytab, nat: config.nat },
      this.#store,
      new Removals(config.auksd.cacheDir, config.own.sync),
      (text) => this.log.info(1, text),
    );
  }

  #catchSignals(): void {
    for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => this.#end());
    process.on("SIGHUP", () => {
      this.#reloading = this.#reloading.then(() => this.#reload());
    });
    process.on("SIGUSR2", () => {
      this.log.info(1, `dispatcher: ${this.#server.accepted} connections dispatched`);
      this.log.info(1, `dispatcher: ${this.#server.busy} connections pending`);
    });
    process.on("SIGPIPE", () => {});
  }

  /** Reads everything again. If it is invalid, nothing changes, and the port never closes. */
  async #reload(): Promise<void> {
    notifyManager("RELOADING=1");
    try {
      await this.#putInForce(readConfiguration(this.#start.file));
    } catch (error) {
      if (error instanceof AuksError) this.#logLines(describeFailure(error).slice(0, 1));
      this.log.info(1, `auksd_engine: SIGHUP changes nothing: ${systemText(error)}`);
      this.log.reopen();
    } finally {
      notifyManager("READY=1");
    }
  }

  async #putInForce(configuration: AuksdConfiguration): Promise<void> {
    this.#accounts.forget();
    const prepared = await prepare(configuration, this.#accounts);
    const old = this.#host.prepared;
    const { cacheDir } = configuration.config.auksd;
    const isOtherDirectory = cacheDir !== old.configuration.config.auksd.cacheDir;
    let listeners: number[] | undefined;
    try {
      if (this.#teardown.hasBegun) throw new Error("auksd is stopping");
      if (placeOf(configuration) !== placeOf(old.configuration)) {
        listeners = this.#listen(configuration);
      }
      if (isOtherDirectory) this.#takeDirectory(cacheDir);
    } catch (error) {
      listeners?.forEach(close);
      prepared.authenticator.retire();
      throw error;
    }
    this.log.reopen();
    this.log = openLog(this.#start.log, configuration.config.auksd, printWarning);
    this.#logLines(describeConfiguration(configuration));
    this.#warn(prepared.warnings);
    this.#host.prepared = prepared;
    old.authenticator.retire();
    await this.#store.moveTo(prepared.directory);
    if (listeners !== undefined) this.#serve(listeners);
    this.#startChores();
    await this.#replicate();
    try {
      await this.#upkeep.load();
      await this.#upkeep.clean();
      if (isOtherDirectory) await this.#store.writeAll();
    } catch (error) {
      this.log.info(1, `auks cred repo : ${systemText(error)}`);
    }
  }

  /** Logs that it is about to stop, which takes a bounded time. */
  announceEnd(): void {
    this.log.info(1, "dispatcher: asked to no longer accept requests");
    this.log.info(1, `dispatcher: ${this.#server.accepted} connections dispatched`);
    this.log.info(1, `auksd     : ${this.#server.busy} connections pending`);
  }
}

function placeOf({ server }: AuksdConfiguration): string {
  return `${server.address}\n${server.port}`;
}

function maxConnections(): number {
  const limit = softLimit("descriptors");
  return Math.max(8, limit - Math.min(RESERVED_DESCRIPTORS, limit / 4));
}
