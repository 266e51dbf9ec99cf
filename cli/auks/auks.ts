// auks: pings auksd, sends it the user's ticket, fetches, removes and lists tickets, and renews the ticket in a credential
// cache.
import { AuksError, auksExitStatus } from "../../lib/auks/errors.ts";
import { KerberosUnavailable } from "../../lib/krb5/unavailable.ts";
import { printable } from "../../lib/printable.ts";
import { choice, option, text } from "../command_line/vocabulary.ts";
import { print, printError } from "../command_line/print.ts";
import type { Settings } from "./settings.ts";
import {
  type AuksUsage,
  counter,
  formatAuksUsage,
  HELP_OPTION,
  parseAuksOptions,
} from "./usage.ts";

/** The command line of auks. */
export const USAGE: AuksUsage<Settings> = {
  synopsis:
    "[-h|--help] [-d|--debug] [-f conffile|--config configfile] [-C ccache|--ccache ccache] " +
    "[-p|--ping] [-a|--add] [-g|--get] [-r|--remove] [-D|--dump] " +
    "[-R (once|loop)|--renew (once|loop)] [-u uid|--uid uid] [--send] [--receive]",
  layout: "auks",
  groups: [
    [
      HELP_OPTION,
      counter("-d, --debug", "increase debug level", "debug"),
      counter("-v, --verbose", "increase verbose level", "verbose"),
      text("-f, --config=conffile", "Configuration file", "config"),
      choice("-p, --ping", "ping request (default)", "action", "ping"),
      choice("-a, --add", "add request", "action", "add"),
      choice("-g, --get", "get request", "action", "get"),
      choice("-D, --dump", "dump request", "action", "dump"),
      choice("-r, --remove", "remove request", "action", "remove"),
      choice("--send", "Encode a credential to stdout", "action", "send"),
      choice("--receive", "Decode a credential from stdin", "action", "receive"),
      option(
        "-R, --renew=mode",
        "renew credential according to specified mode",
        (settings, mode) => {
          settings.action = "renew";
          settings.mode = mode;
        },
      ),
      text("-C, --ccache=ccache", "Credential cache to read or to fill", "ccache"),
      text("-u, --uid=uid", "uid of requested cred owner (get request only)", "uid"),
    ],
    [],
  ],
};

/** Runs auks. Returns the exit status. */
export async function run(program: string, args: readonly string[]): Promise<number> {
  const settings: Settings = {
    action: "ping",
    config: undefined,
    ccache: undefined,
    uid: undefined,
    mode: "",
    verbose: 0,
    debug: 0,
  };
  parseAuksOptions(program, USAGE, settings, args);
  if (settings.action === "renew" && settings.mode !== "once" && settings.mode !== "loop") {
    print(formatAuksUsage(program, USAGE));
    return 1;
  }
  const { openConfiguration } = await import("./configuration.ts");
  let stage: "init" | "request" = "init";
  try {
    const opened = openConfiguration(settings);
    stage = "request";
    const { hideMemory } = await import("../../lib/os/process.ts");
    hideMemory(); // before it holds tickets
    const { ACTIONS } = await import("./actions.ts");
    await ACTIONS[settings.action](settings, opened);
  } catch (error) {
    return fail(stage, error);
  }
  if (settings.action !== "send") print("Auks API request succeed\n");
  return 0;
}

/** Reports a failure in the original's words, followed by the reason. */
function fail(stage: "init" | "request", error: unknown): number {
  const known = error instanceof AuksError
    ? error
    : error instanceof KerberosUnavailable
    ? new AuksError("KRB5_CONTEXT", error.message)
    : undefined;
  if (known === undefined) throw error;
  // The reason may come from an impostor that answered instead of auksd.
  printError(`Auks API ${stage} failed : ${printable(known.message)}\n`);
  return auksExitStatus(known.code);
}
