// auksd: stores users' tickets and hands them out. This file has its command line; the daemon is in daemon/auksd.
import { AuksError, auksExitStatus } from "../../lib/auks/errors.ts";
import { KerberosUnavailable } from "../../lib/krb5/unavailable.ts";
import { requireMemory } from "../../lib/os/limits.ts";
import { print, printError } from "../command_line/print.ts";
import { flag } from "../command_line/vocabulary.ts";
import type { AuksdRun } from "../../daemon/auksd/main.ts";
import { type AuksUsage, DAEMON_OPTIONS, type DaemonSettings, parseAuksOptions } from "./usage.ts";

/** The parsed command line. */
interface Settings extends DaemonSettings {
  checkConfig: boolean;
}

/** The command line of auksd. */
export const USAGE: AuksUsage<Settings> = {
  synopsis: "[-h] [-dv] [-F] [-f conffile]",
  layout: "daemon",
  groups: [
    DAEMON_OPTIONS,
    [
      flag("--check-config", "check configuration, ACL, keytab and CacheDir", "checkConfig"),
    ],
  ],
};

/** Memory needed in addition to what auksd has at first. */
const MEMORY = 72 * 1024 * 1024;

/** Runs auksd. Returns the exit status. */
export async function run(program: string, args: readonly string[]): Promise<number> {
  const settings: Settings = {
    config: undefined,
    foreground: false,
    checkConfig: false,
    verbose: 0,
    debug: 0,
  };
  parseAuksOptions(program, USAGE, settings, args);
  if (!settings.checkConfig) requireMemory(MEMORY, "its threads"); // before most of the code is loaded
  const { checkAuksd, runAuksd } = await import("../../daemon/auksd/main.ts");
  const { verbose, debug, foreground } = settings;
  const isVerbose = verbose > 0 || debug > 0;
  const start: AuksdRun = {
    program,
    commandLine: args,
    config: settings.config,
    log: isVerbose
      ? { kind: "stdout", levels: { info: verbose, debug } }
      : foreground
      ? { kind: "stderr" }
      : { kind: "files" },
  };
  try {
    if (!settings.checkConfig) return await runAuksd(start);
    const { file, warnings, notes } = await checkAuksd(start);
    for (const warning of warnings) printError(`${program}: Warning: ${warning}\n`);
    for (const note of notes) print(`${note}\n`);
    print(`${file} is in order\n`);
    return 0;
  } catch (error) {
    const known = asAuksError(error);
    printError(`${program}: Error: ${known.message}\n`);
    return auksExitStatus(known.code);
  }
}

function asAuksError(error: unknown): AuksError {
  if (error instanceof AuksError) return error;
  if (error instanceof KerberosUnavailable) {
    return new AuksError("STREAM_CONTEXT", error.message);
  }
  throw error;
}
