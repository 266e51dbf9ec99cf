// auks-step: the Kerberos work of the SPANK plugin auks.so (packaging/slurm/auks.c), which passes on its standard error to
// the user or to Slurm's log.
import { AuksError } from "../../../lib/auks/errors.ts";
import { printError } from "../../command_line/print.ts";
import {
  INFORMATION_OPTIONS,
  type Option,
  parseOptions,
  type Usage,
} from "../../command_line/options.ts";
import { flag, parsed, text } from "../../command_line/vocabulary.ts";
import { refuse, wholeNumber } from "../../command_line/values.ts";
import type { StepAction, StepSettings } from "./settings.ts";

const ID_MAX = 0xffff_ffffn;

/** An option with a UID, GID, job or step. */
function number(
  names: string,
  help: string,
  key: "uid" | "gid" | "job" | "step",
): Option<StepSettings> {
  return parsed(names, help, key, (value) => {
    const number = wholeNumber(value);
    return number !== undefined && number >= 0n && number <= ID_MAX
      ? Number(number)
      : refuse(`Invalid number "${value}"`);
  });
}

/** The command line of auks-step. */
export const USAGE: Usage<StepSettings> = {
  groups: [INFORMATION_OPTIONS, [
    number("--uid=UID", "The job's user", "uid"),
    number("--gid=GID", "The job's group", "gid"),
    number("--job=NUMBER", "The job", "job"),
    number("--step=NUMBER", "The step", "step"),
    text("--ccache=TEMPLATE", "Name of the cache, with %u, %j, %s", "ccache"),
    text("--found=CCACHE", "The cache that the job names", "found"),
    text("--recorded=CCACHE", "The cache of an earlier step", "recorded"),
    text("--jobs=DIRECTORY", "Where the jobs' files are", "jobs"),
    flag("--enforced", "Report a missing ticket as an error", "enforced"),
    flag("--no-switch", "Leave the primary cache as it is", "noSwitch"),
  ]],
  closing: `For use by the SPANK plugin auks.so only:

  add    Send the user's ticket to auksd
  begin  As root: put the ticket of a step's user into a cache
  keep   Called by begin, as the user
  end    Destroy the cache of a job
  clean  Remove what is left of a job`,
};

const ACTIONS: readonly StepAction[] = ["add", "begin", "keep", "end", "clean"];

/** Runs auks-step. Returns the exit status. */
export async function run(program: string, args: readonly string[]): Promise<number> {
  const settings: StepSettings = {
    action: ACTIONS.find((action) => action === args[0]),
    uid: process.getuid!(),
    gid: process.getgid!(),
    job: 0,
    step: 0,
    ccache: "",
    found: "",
    recorded: "",
    jobs: "",
    enforced: false,
    noSwitch: false,
  };
  parseOptions(program, USAGE, settings, settings.action === undefined ? args : args.slice(1));
  const { hideMemory } = await import("../../../lib/os/process.ts");
  hideMemory(); // before it holds tickets
  try {
    switch (settings.action) {
      case "add":
        return await (await import("./add.ts")).add(settings);
      case "begin":
        return await (await import("./begin.ts")).begin(settings);
      case "keep":
        return await (await import("./keep.ts")).keep(settings);
      case "end":
        return (await import("./end.ts")).end(settings);
      case "clean":
        return (await import("./end.ts")).clean(settings);
      case undefined:
        return refuse("Specify one of add, begin, keep, end, clean");
    }
  } catch (error) {
    if (!(error instanceof AuksError)) throw error;
    printError(`${error.message}\n`);
    return 1;
  }
}
