// Maintenance of the replay cache while munged runs: drops what has expired, makes spare files, and syncs writes to disk.
// For one thread only.
import { fdatasync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { syncDirectory } from "../../../lib/files/directory_sync.ts";
import { systemText } from "../../../lib/os/system_text.ts";
import { makeSpares } from "./files.ts";
import { ENTRY, openEntries, type ReplayState, UNSYNCED, UNSYNCED_NAMES } from "./minutes.ts";
import { ReplayPurge } from "./purge.ts";
import type { Logger } from "../../process/log.ts";

/** Delay after which munged serves. Work that can wait, such as creating spare files (2 ms), starts only then. */
const START_MS = 100;

/** Settings of the upkeep. */
export interface UpkeepSettings {
  /** Maximum time until a decode is on disk. */
  readonly syncMilliseconds: number;
  /** Seconds by which clocks may differ. */
  readonly drift: number;
}

/** Maintains a cache that workers use. */
export class ReplayUpkeep {
  readonly #state: ReplayState;
  readonly #settings: UpkeepSettings;
  readonly #log: Pick<Logger, "limited">;
  readonly #purge: ReplayPurge;
  #firstSpares: NodeJS.Timeout | undefined;
  #hasSpares = false;
  #isStopped = false;

  constructor(state: ReplayState, settings: UpkeepSettings, log: Pick<Logger, "limited">) {
    this.#state = state;
    this.#settings = settings;
    this.#log = log;
    this.#purge = new ReplayPurge(state);
  }

  /** Makes spare files soon, and syncs writes to disk from now on. */
  start(): void {
    this.#firstSpares = setTimeout(() => this.#keepSpares(), START_MS);
    if (this.#state.directory !== null && !this.#state.syncsFirst) this.#saveWhenWritten();
  }

  /**
   * Drops what has expired, and reserves space. Call it some minutes after a decode, and again after the time it returns.
   *
   * @returns milliseconds until there is more to do; Infinity if there is nothing until the next decode.
   */
  tidy(): number {
    if (this.#isStopped) return Infinity;
    const now = Math.floor(Date.now() / 1000);
    let next = 0; // try again soon if it fails
    this.#attempt("replay purge", "purge replay cache", () => {
      next = this.#purge.purge(now, this.#settings.drift, performance.now());
    });
    this.#keepSpares();
    return this.#hasSpares ? next : 0;
  }

  /** Syncs writes to disk now, if possible, so that less is left to do once munged has stopped serving. */
  save(): Promise<void> {
    const write = () => syncJournals(this.#state);
    return this.#attempt("replay sync", "write the replay cache to disk", write);
  }

  /** Stops it, after syncing writes to disk if possible. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#firstSpares);
    await this.save();
  }

  async #saveWhenWritten(): Promise<void> {
    // Without work there is no timer, so that an idle munged does not wake up.
    const written = Atomics.waitAsync(new Int32Array(this.#state.shared), UNSYNCED, 0);
    if (written.async) await written.value;
    await sleep(this.#settings.syncMilliseconds, undefined, { ref: false });
    if (this.#isStopped) return;
    await this.save();
    this.#keepSpares(); // one may have been used
    this.#saveWhenWritten();
  }

  #keepSpares(): void {
    const { directory } = this.#state;
    this.#attempt("replay spares", "set space aside for the replay cache", () => {
      this.#hasSpares = false;
      if (directory !== null) makeSpares(directory);
      this.#hasSpares = true;
    });
  }

  /** Takes a step, and logs its failure. */
  async #attempt(cause: string, what: string, step: () => void | Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#log.limited(cause, "warning", `Failed to ${what}: ${systemText(error)}`);
    }
  }
}

function sync(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => error === null || error === undefined ? resolve() : reject(error));
  });
}

/** Syncs all writes since its last call to disk. @throws the system's error if that fails. */
async function syncJournals(state: ReplayState): Promise<void> {
  const words = new Int32Array(state.shared);
  Atomics.store(words, UNSYNCED, 0);
  for (const entry of openEntries(words)) {
    if (Atomics.exchange(words, entry + ENTRY.unsynced, 0) === 0) continue;
    await sync(words[entry + ENTRY.journal]!);
  }
  if (Atomics.exchange(words, UNSYNCED_NAMES, 0) !== 0) syncDirectory(state.directory!);
}
