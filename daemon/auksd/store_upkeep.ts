// Loads the store from CacheDir and removes expired tickets, at startup, on SIGHUP and every CleanDelay, and logs the
// outcome. store.ts does the work; the timer is in service.ts.
import { systemText } from "../../lib/os/system_text.ts";
import type { AuksLog } from "../process/auks_log.ts";
import type { Accounts } from "./accounts.ts";
import type { Store } from "./store.ts";

/** Keeps the store in step with CacheDir and the clock. */
export class StoreUpkeep {
  readonly #store: Store;
  readonly #accounts: Accounts;
  readonly #log: () => AuksLog;
  /** The logged reason for each file that could not be loaded. */
  #notLoaded: ReadonlySet<string> = new Set();

  constructor(store: Store, accounts: Accounts, log: () => AuksLog) {
    this.#store = store;
    this.#accounts = accounts;
    this.#log = log;
  }

  async load(): Promise<void> {
    const { skipped } = await this.#store.load((principal) => this.#accounts.uidOf(principal));
    const known = this.#notLoaded;
    this.#notLoaded = new Set(skipped);
    for (const reason of skipped) {
      if (!known.has(reason)) this.#log().info(1, `auks cred repo : not loaded: ${reason}`);
    }
  }

  async clean(): Promise<void> {
    const begin = performance.now();
    const { removed, failures } = await this.#store.clean();
    for (const failure of failures) this.#log().info(1, `worker[0] : ${failure}`);
    const took = Math.round((performance.now() - begin) / 1000);
    this.#log().info(
      2,
      `worker[0] : auks cred repo cleaned in ~${took}s (${removed} creds removed)`,
    );
  }

  /** Runs every CleanDelay; also retries files whose users could not be looked up. */
  async tidy(): Promise<void> {
    try {
      if (this.#notLoaded.size > 0) await this.load();
      await this.clean();
    } catch (error) {
      this.#log().info(1, `auks cred repo : ${systemText(error)}`);
    }
  }
}
