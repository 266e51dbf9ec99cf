// munged from its command line to its service. Each step loads only what it needs: the process that the user starts does
// little more than start the one in the background.
import type { DaemonConfig } from "./config.ts";
import { socketFromManager } from "../process/activation.ts";
import { enterBackground } from "../process/background.ts";
import { STAGE } from "../process/session_leader.ts";
import { requireResources, usefulThreads } from "./resources.ts";
import { warmUp } from "./serve/warm_workers.ts";

/**
 * Runs munged until a signal stops it, or stops a running one if `config` says so.
 *
 * @returns the exit status.
 */
export async function runDaemon(config: DaemonConfig): Promise<number> {
  if (config.stop) {
    const { createLogger } = await import("../process/log.ts");
    const { stderrLog } = await import("../process/log_target.ts");
    const { stopDaemon } = await import("../process/stop.ts");
    return stopDaemon(config, createLogger(stderrLog(config)));
  }
  const numThreads = usefulThreads(config.numThreads);
  // A copy in the background need not check the limits again: the process that started it did.
  if (process.env[STAGE] === undefined) requireResources(numThreads, config.maxPayload);
  const passed = socketFromManager();
  const announceReady = config.foreground ? () => {} : enterBackground(config, passed);
  warmUp(1); // the others start when a client connects
  const { serve } = await import("./service.ts");
  return await serve({ ...config, numThreads }, config.numThreads, announceReady, passed);
}
