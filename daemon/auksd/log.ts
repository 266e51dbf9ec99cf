// auksd's log: the two files of the block `auksd`, or a stream in the foreground.
import type { LogConfig } from "../../lib/auks/config.ts";
import {
  type AuksLog,
  type AuksLogLevels,
  createAuksLog,
  openLogFiles,
  SILENT,
} from "../process/auks_log.ts";

/** The log's target, from the command line. */
export type LogChoice =
  | { readonly kind: "files" }
  /** Standard error, with the levels of the configuration. */
  | { readonly kind: "stderr" }
  /** Standard output, with levels from -v and -d. */
  | { readonly kind: "stdout"; readonly levels: AuksLogLevels };

/**
 * Opens the log.
 *
 * @param config the levels and files; undefined before it is read.
 * @param complain is called once with the reason if lines can't be written.
 */
export function openLog(
  choice: LogChoice,
  config: LogConfig | undefined,
  complain: (text: string) => void,
): AuksLog {
  if (choice.kind === "stdout") {
    return createAuksLog({ kind: "descriptor", fd: 1 }, choice.levels, complain);
  }
  if (config === undefined) return SILENT;
  const levels = { info: config.logLevel, debug: config.debugLevel };
  if (choice.kind === "stderr") {
    return createAuksLog({ kind: "descriptor", fd: 2 }, levels, complain);
  }
  return openLogFiles(config, complain);
}
