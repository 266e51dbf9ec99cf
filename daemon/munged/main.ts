// munged from its command line on. Each step loads what it needs, and no more: three processes start until
// munged is in the background, and two of them have nothing to do but that.
import type { DaemonConfig } from "./config.ts";
import { MungeError } from "../../lib/errors.ts";
import { hasAddressSpace, hasMemory } from "../../lib/os/memory.ts";
import { enterBackground } from "../process/background.ts";
import { warmUp } from "./serve/warm_workers.ts";

const MIB = 1024 * 1024;
/** What munged takes beyond what it has by then, and what each of its threads takes. */
const NEED = { base: 33 * MIB, thread: 31 * MIB };

/**
 * Runs munged until a signal ends it, or stops a running one if `config` says so.
 *
 * @returns the exit status.
 */
export async function runDaemon(config: DaemonConfig): Promise<number> {
  if (config.stop) {
    const { createLogger, stderrLog } = await import("../process/log.ts");
    const { stopDaemon } = await import("../process/stop.ts");
    return stopDaemon(config, createLogger(stderrLog(config)));
  }
  requireMemory(config.numThreads);
  const announceReady = config.foreground ? () => {} : enterBackground(config);
  warmUp(config.numThreads);
  const { serve } = await import("./service.ts");
  return await serve(config, announceReady);
}

/**
 * Refuses to start where limits leave too little memory: the runtime crashes when it can't have what it needs.
 *
 * @throws {MungeError} EMUNGE_NO_MEMORY
 */
function requireMemory(threads: number): void {
  const need = NEED.base + threads * NEED.thread;
  const limit = !hasAddressSpace(need) ? "ulimit -v" : !hasMemory(need) ? "ulimit -d" : undefined;
  if (limit === undefined) return;
  const amount = `${Math.ceil(need / MIB)} MiB more for ${threads} thread${
    threads === 1 ? "" : "s"
  }`;
  throw new MungeError("EMUNGE_NO_MEMORY", `Out of memory: ${limit} must allow ${amount}`);
}
