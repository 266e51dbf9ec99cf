// When the map of supplementary groups is built anew. The name service is asked in a thread of its own
// (daemon/munged/groups/thread.ts), so that a slow one delays nobody.
import { statSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { systemText } from "../../../lib/os/system_text.ts";
import { threadFile } from "../../../lib/os/thread_file.ts";
import type { DaemonConfig } from "../config.ts";
import type { GroupMap } from "./map.ts";
import type { Logger } from "../../process/log.ts";

/** What daemon/munged/groups/thread.ts answers. */
export type GroupsAnswer = { readonly groups: GroupMap } | { readonly failure: string };

const GROUP_FILE = "/etc/group";

/** Builds the map at the start, at each interval and on request, one update at a time. */
export class GroupUpdater {
  readonly #config: Pick<DaemonConfig, "groupCheckMtime" | "groupUpdateTime" | "benchmark">;
  readonly #log: Logger;
  readonly #publish: (groups: GroupMap) => void;
  #timer: NodeJS.Timeout | undefined;
  #worker: Worker | undefined;
  #lastMtimeMs: number | undefined;
  readonly #first = Promise.withResolvers<void>();

  /** @param publish is given every new map. */
  constructor(
    config: Pick<DaemonConfig, "groupCheckMtime" | "groupUpdateTime" | "benchmark">,
    log: Logger,
    publish: (groups: GroupMap) => void,
  ) {
    this.#config = config;
    this.#log = log;
    this.#publish = publish;
  }

  /** Logs how updates are set, in the reference's words. */
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
   * Begins the first update; it and those to come run beside everything else.
   *
   * @returns settles when the first map is in force, or couldn't be had.
   */
  start(): Promise<void> {
    if (!this.#isEnabled()) return Promise.resolve();
    this.#update();
    return this.#first.promise;
  }

  /** Updates now, changed or not: what SIGHUP asks for. */
  refresh(): void {
    this.#lastMtimeMs = undefined;
    void this.start();
  }

  /** Ends timer and update. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#worker?.terminate();
    this.#worker = undefined;
  }

  #isEnabled(): boolean {
    return this.#config.groupUpdateTime >= 0 && !this.#config.benchmark;
  }

  #update(): void {
    if (this.#worker !== undefined) return; // the one under way is as good
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
      if (this.#worker !== worker) return; // stopped meanwhile
      this.#worker = undefined;
      worker.terminate();
      if ("groups" in answer) {
        this.#lastMtimeMs = mtimeMs;
        this.#publish(answer.groups);
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
    worker.once("message", finish);
    worker.once("error", (error) => finish({ failure: error.message }));
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
    const longest = 2 ** 31 - 1; // of a timer, in ms: then the mtime is looked at early, no harm
    this.#timer = setTimeout(() => this.#update(), Math.min(groupUpdateTime * 1000, longest));
    this.#timer.unref();
  }
}
