// A running auksd: its start, its signals and its shutdown. All problems with files, keys and ports are found before it
// serves or changes anything (preparation.ts).
import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { roleOf } from "../../lib/auks/acl.ts";
import { AuksError } from "../../lib/auks/errors.ts";
import { softLimit } from "../../lib/os/limits.ts";
import { forbidCoreDumps, lockMemory } from "../../lib/os/process.ts";
import { releaseProgramPages } from "../../lib/os/program_pages.ts";
import { close } from "../../lib/os/socket.ts";
import { systemText } from "../../lib/os/system_text.ts";
import type { AuksLog } from "../process/auks_log.ts";
import type { AnnounceReady } from "../process/background.ts";
import { lockDirectory, removeLock } from "../process/lock_file.ts";
import { removePidFile, writePidFile } from "../process/pid_file.ts";
import { notifyManager } from "../process/systemd.ts";
import { Teardown } from "../process/teardown.ts";
import { Accounts } from "./accounts.ts";
import type { Authenticator } from "./authenticator.ts";
import {
  type AuksdConfiguration,
  describeConfiguration,
  describeFailure,
  readConfiguration,
} from "./configuration.ts";
import type { Connection, ConnectionHost } from "./connection.ts";
import { Journal } from "./journal.ts";
import { openListeners } from "./listeners.ts";
import { type LogChoice, openLog } from "./log.ts";
import { startMetrics } from "./metrics.ts";
import { lookUpHosts, prepare, type Prepared } from "./preparation.ts";
import { Removals } from "./removals.ts";
import { Replication } from "./replication.ts";
import { ReplyTurns } from "./reply_turns.ts";
import { answerRequest, type RequestContext } from "./requests.ts";
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

/** Descriptors reserved for files, threads and the name service. */
const RESERVED_DESCRIPTORS = 64;
/** How long replies in progress may take when auksd stops. */
const GRACE_MS = 3_000;
/** How often to look up the addresses of hosts in the ACL again. */
const HOSTS_INTERVAL_MS = 60_000;
const MIN_CLEAN_DELAY_S = 1;
/** When start-up is over, and most of its code no longer needed. */
const SETTLED_MS = 2_000;

/**
 * Serves until a signal stops it.
 *
 * @param announceReady called once it serves.
 * @returns the exit status.
 * @throws {AuksError} if its preparations fail.
 */
export async function serve(start: AuksdStart, announceReady: AnnounceReady): Promise<number> {
  process.on("SIGHUP", () => {}); // until it can be handled; by default it would end auksd
  forbidCoreDumps();
  if (start.configuration.config.own.lockMemory) lockMemory();
  const accounts = new Accounts((text) => auksd?.log.info(1, `auksd     : ${text}`));
  let auksd: Auksd | undefined;
  try {
    const prepared = await prepare(start.configuration, accounts);
    auksd = new Auksd(start, prepared, accounts);
    await auksd.start();
    announceReady();
    notifyManager("READY=1");
    await auksd.ended;
    notifyManager("STOPPING=1");
    await auksd.stop();
    return 0;
  } catch (error) {
    accounts.stop();
    throw error;
  }
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
class Auksd implements ConnectionHost {
  log: AuksLog;
  readonly ended: Promise<void>;
  readonly turns = new ReplyTurns();
  readonly #start: AuksdStart;
  readonly #accounts: Accounts;
  readonly #store: Store;
  readonly #upkeep: StoreUpkeep;
  readonly #server: Server;
  readonly #journal: Journal;
  #prepared: Prepared;
  #requests: RequestContext;
  #replication: Replication | undefined;
  #listeners: readonly number[] = [];
  readonly #teardown: Teardown = new Teardown({
    error: (text) => this.log.info(1, `auksd     : ${text}`),
  });
  #timers: NodeJS.Timeout[] = [];
  #stopMetrics: () => void = () => {};
  #end: () => void = () => {};
  /** Settles when all SIGHUPs that came are done. */
  #reloading: Promise<void> = Promise.resolve();

  constructor(
    start: AuksdStart,
    prepared: Prepared,
    accounts: Accounts,
  ) {
    this.#start = start;
    this.#prepared = prepared;
    this.#accounts = accounts;
    this.log = openLog(start.log, prepared.configuration.config.auksd, printWarning);
    this.#store = new Store(prepared.directory);
    this.#upkeep = new StoreUpkeep(this.#store, accounts, () => this.log);
    this.#server = new Server(this, { maxConnections: maxConnections() });
    this.#journal = new Journal(() => this.log);
    this.#requests = this.#requestContext();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
  }

  get authenticator(): Authenticator {
    return this.#prepared.authenticator;
  }

  get nat(): boolean {
    return this.#prepared.configuration.config.nat;
  }

  admits(principal: string, connection: Connection): boolean {
    const role = this.#roleOf(principal, connection);
    if (role === undefined) return false;
    this.log.info(3, `worker[1] : ${principal} role is ${role}`);
    return true;
  }

  answer(payload: Uint8Array, principal: string, connection: Connection) {
    // On each request, because the ACL may have changed since the client connected.
    const role = this.#roleOf(principal, connection);
    if (role === undefined) return undefined;
    const { remoteText: address } = connection;
    return answerRequest(payload, { principal, role, address }, this.#requests);
  }

  failed(...failure: Parameters<ConnectionHost["failed"]>): void {
    this.#journal.connectionFailed(...failure);
  }

  #roleOf(principal: string, connection: Connection) {
    const { configuration, hosts } = this.#prepared;
    return roleOf(configuration.acl, principal, connection.remote, hosts);
  }

  #requestContext(): RequestContext {
    const { packing, acl } = this.#prepared.configuration;
    return {
      store: this.#store,
      accounts: this.#accounts,
      packing,
      acl,
      replication: this.#replication,
      finished: (event) => this.#journal.requestFinished(event),
    };
  }

  /** Binds the port, locks and loads the directory, and serves. @throws {AuksError} */
  async start(): Promise<void> {
    const { configuration } = this.#prepared;
    this.#tell(describeConfiguration(configuration));
    this.#warn(this.#prepared.warnings);
    if (this.#start.background) process.chdir(configuration.config.auksd.cacheDir);
    const listeners = this.#listen(configuration);
    try {
      this.#takeDirectory(configuration.config.auksd.cacheDir);
      this.#writePidFile(configuration.config.own.pidFile);
      this.#catchSignals();
      this.#startTimers();
      this.#teardown.add(() => this.#stopMetrics());
      await this.#upkeep.load();
      await this.#upkeep.clean();
    } catch (error) {
      await this.#teardown.disposeAsync();
      throw error;
    }
    this.#listeners = listeners;
    for (const fd of listeners) this.#server.listen(fd);
    await this.#replicate();
    setTimeout(releaseProgramPages, SETTLED_MS).unref();
  }

  #tell(lines: readonly (readonly [number, string])[]): void {
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
      const lock = lockDirectory(directory, "auksd");
      this.#teardown.add(() => removeLock(lock, { warning: (text) => this.log.info(1, text) }));
    } catch (error) {
      throw new AuksError("REPO_CACHE_DIR_OPEN", systemText(error));
    }
  }

  #writePidFile(path: string): void {
    if (path === "") return;
    const logger = { warning: (text: string) => this.log.info(1, `auksd     : ${text}`) };
    writePidFile(path, { force: false, trustedGroup: null }, logger);
    this.#teardown.add(() => removePidFile(path, logger));
  }

  #startTimers(): void {
    const { config } = this.#prepared.configuration;
    const delay = Math.max(config.auksd.cleanDelay, MIN_CLEAN_DELAY_S);
    this.#timers = [
      setInterval(() => void this.#upkeep.tidy(), delay * 1000),
      setInterval(() => void this.#refreshHosts(), HOSTS_INTERVAL_MS),
    ];
    const { metricsFile } = config.own;
    this.#stopMetrics();
    const sources = { journal: this.#journal, store: this.#store, server: this.#server };
    this.#stopMetrics = metricsFile === ""
      ? () => {}
      : startMetrics(metricsFile, sources, (text) => this.log.info(1, `auksd     : ${text}`));
  }

  /** Starts or stops forwarding to the other auksd, as configured. */
  async #replicate(): Promise<void> {
    await this.#replication?.stop();
    this.#replication = undefined;
    const { configuration, authenticator } = this.#prepared;
    const { config, peer, keytab } = configuration;
    if (config.own.replicate && peer !== undefined) {
      this.#replication = new Replication(
        { peer, principal: authenticator.principal, keytab, nat: config.nat },
        this.#store,
        new Removals(config.auksd.cacheDir, config.own.sync),
        (text) => this.log.info(1, text),
      );
    }
    this.#requests = this.#requestContext();
  }

  async #refreshHosts(): Promise<void> {
    const { acl } = this.#prepared.configuration;
    const hosts = new Map(await lookUpHosts(acl, this.#accounts, []));
    if (this.#prepared.configuration.acl !== acl) return; // reloaded meanwhile
    // A momentary failure of the name service does not take any client's role away.
    for (const [host, addresses] of hosts) {
      if (addresses.length === 0) hosts.set(host, this.#prepared.hosts.get(host) ?? []);
    }
    this.#prepared = { ...this.#prepared, hosts };
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
      if (error instanceof AuksError) this.#tell(describeFailure(error).slice(0, 1));
      this.log.info(1, `auksd_engine: nothing is changed by SIGHUP: ${systemText(error)}`);
      this.log.reopen();
    } finally {
      notifyManager("READY=1");
    }
  }

  async #putInForce(configuration: AuksdConfiguration): Promise<void> {
    this.#accounts.forget();
    const prepared = await prepare(configuration, this.#accounts);
    const old = this.#prepared;
    const { cacheDir } = configuration.config.auksd;
    const isOtherDirectory = cacheDir !== old.configuration.config.auksd.cacheDir;
    let listeners: number[] | undefined;
    try {
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
    this.#tell(describeConfiguration(configuration));
    this.#warn(prepared.warnings);
    this.#prepared = prepared;
    this.#requests = this.#requestContext();
    old.authenticator.retire();
    await this.#store.moveTo(prepared.directory);
    if (listeners !== undefined) {
      for (const fd of listeners) this.#server.listen(fd);
      for (const fd of this.#listeners) this.#server.unlisten(fd);
      this.#listeners = listeners;
    }
    this.#timers.forEach(clearInterval);
    this.#startTimers();
    await this.#replicate();
    try {
      await this.#upkeep.load();
      await this.#upkeep.clean();
      if (isOtherDirectory) await this.#store.writeAll();
    } catch (error) {
      this.log.info(1, `auks cred repo : ${systemText(error)}`);
    }
  }

  /** Stops within a bounded time. */
  async stop(): Promise<void> {
    this.log.info(1, "dispatcher: asked to no longer accept requests");
    this.log.info(1, `dispatcher: ${this.#server.accepted} connections dispatched`);
    this.log.info(1, `auksd     : ${this.#server.busy} connections pending`);
    this.#timers.forEach(clearInterval);
    const teardown = this.#teardown; // the last step comes first
    teardown.add(() => this.#prepared.authenticator.retire());
    teardown.add(() => Promise.race([this.#store.stop(), sleep(GRACE_MS)]));
    teardown.add(() => this.#accounts.stop());
    teardown.add(() => this.#replication?.stop());
    teardown.add(() => this.#server.stop(GRACE_MS));
    await teardown.disposeAsync();
    this.log.info(1, "auksd     : exiting");
  }
}

function placeOf({ server }: AuksdConfiguration): string {
  return `${server.address}\n${server.port}`;
}

function maxConnections(): number {
  const limit = softLimit("descriptors");
  return Math.max(8, limit - Math.min(RESERVED_DESCRIPTORS, limit / 4));
}
