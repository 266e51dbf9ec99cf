// auksd from its command line on: the configuration is read and checked in the process that the user started,
// so that its mistakes are that command's failure; then it goes into the background, and serves.
import { AuksError, auksExitStatus } from "../../lib/auks/errors.ts";
import { resolve } from "node:path";
import { announceFailure, enterBackground } from "../process/background.ts";
import {
  type AuksdConfiguration,
  configurationFile,
  describeFailure,
  readConfiguration,
} from "./configuration.ts";
import { type LogChoice, openLog } from "./log.ts";

/** How auksd is to run. */
export interface AuksdRun {
  /** Base name of argv[0]. */
  readonly program: string;
  /** The words after it, for starting ourselves anew in the background. */
  readonly commandLine: readonly string[];
  /** Undefined for the usual file. */
  readonly config: string | undefined;
  readonly log: LogChoice;
}

/**
 * Runs auksd until a signal ends it.
 *
 * @returns the exit status.
 * @throws {AuksError} when it can't start.
 */
export async function runAuksd(run: AuksdRun): Promise<number> {
  const configuration = read(run);
  const background = run.log.kind === "files";
  const file = resolve(configuration.file); // as SIGHUP will find it from another directory
  const announceReady = background ? enterBackground(run) : () => {};
  const { serve } = await import("./service.ts");
  try {
    return await serve({ configuration, file, log: run.log, background }, announceReady);
  } catch (error) {
    // The command of whoever started it ends with the status; the text goes to the same standard error.
    if (background && error instanceof AuksError) announceFailure(auksExitStatus(error.code));
    throw error;
  }
}

/**
 * Checks what auksd would check at its start.
 *
 * @returns the file that was read, and what it would warn of.
 * @throws {AuksError} what would keep it from starting.
 */
export async function checkAuksd(
  run: AuksdRun,
): Promise<{ file: string; warnings: readonly string[] }> {
  const configuration = read(run);
  const { checkConfiguration } = await import("./service.ts");
  return { file: configuration.file, warnings: await checkConfiguration(configuration) };
}

function read(run: AuksdRun): AuksdConfiguration {
  try {
    return readConfiguration(configurationFile(run.config));
  } catch (error) {
    if (error instanceof AuksError) {
      const log = openLog(run.log, undefined, () => {});
      for (const [level, text] of describeFailure(error)) log.info(level, text);
    }
    throw error;
  }
}
