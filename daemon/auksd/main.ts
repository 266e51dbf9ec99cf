// auksd from its command line to its service. The process that the user started reads and checks the configuration, so that
// mistakes make the command fail. Then auksd goes into the background and serves.
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

/** How to run auksd. */
export interface AuksdRun {
  /** Base name of argv[0]. */
  readonly program: string;
  /** The arguments after it, for starting ourselves again in the background. */
  readonly commandLine: readonly string[];
  /** Undefined for the default file. */
  readonly config: string | undefined;
  readonly log: LogChoice;
}

/**
 * Runs auksd until a signal stops it.
 *
 * @returns the exit status.
 * @throws {AuksError} if it can't start.
 */
export async function runAuksd(run: AuksdRun): Promise<number> {
  const configuration = read(run);
  const background = run.log.kind === "files";
  const file = resolve(configuration.file); // as SIGHUP finds it from another working directory
  const announceReady = background ? enterBackground(run) : () => {};
  const { serve } = await import("./service.ts");
  try {
    return await serve({ configuration, file, log: run.log, background }, announceReady);
  } catch (error) {
    // The caller's command exits with the status; the text goes to the same standard error.
    if (background && error instanceof AuksError) announceFailure(auksExitStatus(error.code));
    throw error;
  }
}

/**
 * Checks everything auksd checks at startup.
 *
 * @returns the file it read, its warnings, and notes on settings without effect.
 * @throws {AuksError} for anything that would keep it from starting.
 */
export async function checkAuksd(
  run: AuksdRun,
): Promise<{ file: string; warnings: readonly string[]; notes: readonly string[] }> {
  const configuration = read(run);
  const { checkConfiguration } = await import("./preparation.ts");
  const { file, config: { notes } } = configuration;
  return { file, warnings: await checkConfiguration(configuration), notes };
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
