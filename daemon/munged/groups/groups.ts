// Decides when to rebuild the map of supplementary groups. A separate thread (thread.ts) queries the name service, so
// that a slow one delays nothing.
import { statSync } from "node:fs";
import { systemText } from "../../../lib/os/system_text.ts";
import { threadFile } from "../../../lib/os/thread_file.ts";
import { MAX_TIMER_MS } from "../../../lib/timer.ts";
import type { DaemonConfig } from "../config.ts";
import { type GroupMap, NO_GROUPS } from "./map.ts";
import type { Logger } from "../../process/log.ts";

/** The answer of thread.ts. */
export type GroupsAnswer = { readonly groups: GroupMap } | { readonly failure: string };

const GROUP_FILE = "/etc/group";

/** Builds the map at startup, at each interval and on request, one update at a time. */
export class GroupUpdater {
  readonly #config: Pick<DaemonConfig, "groupCheckMtime" | "groupUpdateTime" | "benchmark">;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;
  #worker: Worker | undefined;
  #lastMtimeMs: number | undefined;
  readonly #first = Promise.withResolvers<void>();
  #current: GroupMap = NO_GROUPS;
  /** Gets every new map. */
  onUpdate: (groups: GroupMap) => void = () => {};

  constructor(
    config: Pick<DaemonConfig, "groupCheckMtime" | "groupUpdateTime" | "benchmark">,
    log: Logger,
  ) {
    this.#config = config;
    this.#log = log;
  }

  /** The last map; empty until there is one. */
  get current(): GroupMap {
    return this.#current;
  }

  /** Logs the update settings, in the reference's words. */
  announce(): void {
    const { groupUpdateTime, groupCheckMtime } = this.#config;
    if (!this.#isEnabled()) {
      this.#log.info("Disabled supplementary group mapping");
      return;
    }
    this.#log.info(
      groupUpdateTime === 0
        ? "Disabled updates to supplementary group mapping"
        : "Updating supplementary group mapping every " +
          `${groupUpdateTime} second${groupUpdateTime === 1 ? "" : "s"}`,
    );
    const check = groupCheckMtime ? "Enabled" : "Disabled";
    this.#log.info(`${check} supplementary group mtime check of "${GROUP_FILE}"`);
  }

  /**
   * Starts the first update. All updates run in the background.
   *
   * @returns settles when the first map is in force, or could not be built.
   */
  start(): Promise<void> {
    if (!this.#isEnabled()) return Promise.resolve();
    this.#update();
    return this.#first.promise;
  }

  /** Updates now, whether or not anything changed, as on SIGHUP. */
  refresh(): void {
    this.#lastMtimeMs = undefined;
    void this.start();
  }

  /** Stops the timer and any update. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#worker?.terminate();
    this.#worker = undefined;
  }

  #isEnabled(): boolean {
    return this.#config.groupUpdateTime >= 0 && !this.#config.benchmark;
  }

  #update(): void {
    if (this.#worker !== undefined) return; // the running update will do
    clearTimeout(this.#timer);
    const mtimeMs = this.#config.groupCheckMtime ? this.#groupFileMtime() : undefined;
    if (mtimeMs !== undefined && mtimeMs === this.#lastMtimeMs) {
      this.#schedule();
      return;
    }
    const begin = performance.now();
    const worker = new Worker(threadFile("daemon/munged/groups/thread.ts"));
    this.#worker = worker;
    const finish = (answer: GroupsAnswer) => {
      if (this.#worker !== worker) return; // stopped
      this.#worker = undefined;
      worker.terminate();
      if ("groups" in answer) {
        this.#lastMtimeMs = mtimeMs;
        this.#current = answer.groups;
        this.onUpdate(answer.groups);
        const count = answer.groups.uids.length;
        const took = ((performance.now() - begin) / 1000).toFixed(3);
        this.#log.info(
          `Found ${count} user${
            count === 1 ? "" : "s"
          } with supplementary groups in ${took} seconds`,
        );
      } else {
        this.#log.warning(`Failed to update supplementary group mapping: ${answer.failure}`);
      }
      this.#first.resolve();
      this.#schedule();
    };
    worker.addEventListener("message", ({ data }) => finish(data as GroupsAnswer));
    worker.addEventListener("error", ({ message }) => finish({ failure: message }));
  }

  #groupFileMtime(): number | undefined {
    try {
      return statSync(GROUP_FILE).mtimeMs;
    } catch (error) {
      this.#log.limited(
        "group mtime",
        "warning",
        `Failed to query "${GROUP_FILE}": ${systemText(error)}`,
      );
      return undefined;
    }
  }

  #schedule(): void {
    const { groupUpdateTime } = this.#config;
    if (groupUpdateTime <= 0) return;
    // Checking the mtime early is harmless.
    this.#timer = setTimeout(() => this.#update(), Math.min(groupUpdateTime * 1000, MAX_TIMER_MS));
    this.#timer.unref();
  }
}
