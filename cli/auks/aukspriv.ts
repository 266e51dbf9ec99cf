// aukspriv: keeps a ticket obtained with a keytab in the credential cache of root or another account.
import { closeSync } from "node:fs";
import { describeTurn, keepCache } from "../../daemon/aukspriv/keep.ts";
import { createReport } from "../../daemon/aukspriv/report.ts";
import { readSettings, SettingError } from "../../daemon/aukspriv/settings.ts";
import type { TurnOutcome } from "../../daemon/aukspriv/turn.ts";
import { enterBackground } from "../../daemon/process/background.ts";
import { openNullDevice } from "../../lib/os/null_device.ts";
import { ownCommand } from "../../lib/os/thread_file.ts";
import { print, printError } from "../command_line/print.ts";
import { type AuksUsage, HELP_OPTION, parseAuksOptions } from "./usage.ts";

interface Settings {
  foreground: boolean;
  once: boolean;
}

/** The command line of aukspriv. */
export const USAGE: AuksUsage<Settings> = {
  synopsis: "[-h|-v]",
  layout: "aukspriv",
  groups: [
    [
      { ...HELP_OPTION, help: "print this message" },
      {
        short: "v",
        long: "verbose",
        help: "log on stdout instead of syslog",
        set: (settings) => {
          settings.foreground = true;
        },
      },
    ],
    [
      {
        long: "once",
        addition: true,
        help: "fill the cache once, report it on stdout, and exit",
        set: (settings) => {
          settings.once = true;
        },
      },
    ],
  ],
};

/** Marks a process that only takes one turn. */
const TURN = "AUKS_PRIV_TURN";
/** Keeps aukspriv in the foreground, as it does the original. */
const DONE = "AUKS_PRIV_DONE";

/** Runs aukspriv. Returns the exit status. */
export async function run(program: string, args: readonly string[]): Promise<number> {
  const settings: Settings = { foreground: process.env[DONE] === "yes", once: false };
  parseAuksOptions(program, USAGE, settings, args);
  try {
    const auksprivSettings = readSettings(process.env);
    if (process.env[TURN] === "yes") {
      const { takeTurn } = await import("../../daemon/aukspriv/turn.ts");
      print(JSON.stringify(takeTurn(auksprivSettings)));
      return 0;
    }
    const { keytab, timeout, syslogPriority } = auksprivSettings;
    const takeTurn = () => turnInProcess(timeout);
    if (settings.once) {
      const outcome = await takeTurn();
      const failed = "failure" in outcome;
      const lines = describeTurn(outcome, keytab, true).map((line) => `${program}: ${line}\n`);
      (failed ? printError : print)(lines.join(""));
      return failed ? 1 : 0;
    }
    const report = createReport(settings.foreground ? undefined : syslogPriority);
    const begun = settings.foreground ? () => {} : enterBackground({ program, commandLine: args });
    return await keepCache({ settings: auksprivSettings, takeTurn, report, begun });
  } catch (error) {
    if (!(error instanceof SettingError)) throw error;
    printError(`${program}: ${error.message}\n`);
    return 1;
  }
}

/** Starts a process that takes a turn. */
function startTurn(timeout: number) {
  const nothing = openNullDevice();
  try {
    return Bun.spawn(ownCommand(), {
      argv0: "aukspriv",
      env: { ...process.env, [TURN]: "yes" },
      stdio: [nothing, "pipe", "inherit"],
      timeout: timeout * 1000,
      killSignal: "SIGKILL",
    });
  } finally {
    closeSync(nothing);
  }
}

/** Takes a turn in a process that is killed if it takes longer than `timeout` seconds. */
async function turnInProcess(timeout: number): Promise<TurnOutcome> {
  const child = startTurn(timeout);
  const text = await new Response(child.stdout).text();
  await child.exited;
  if (child.signalCode === "SIGKILL") {
    return { principal: "a principal", failure: `no answer within ${timeout} s` };
  }
  if (text === "") return { principal: "a principal", failure: "the process that asked has died" };
  return JSON.parse(text) as TurnOutcome;
}
