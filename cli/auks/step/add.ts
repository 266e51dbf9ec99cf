// auks-step add: sends the user's ticket to auksd before a job starts, like auks -a, and reports the outcome in the words
// of the original's plugin.
import { AuksError } from "../../../lib/auks/errors.ts";
import {
  type ClientConfiguration,
  configurationFile,
  readConfiguration,
} from "../../../lib/auks_client/configuration.ts";
import { printError } from "../../command_line/print.ts";
import { failureText, forwardTicket } from "../forward.ts";
import type { StepSettings } from "./settings.ts";

/** The exit status for a user without a ticket, which the plugin knows. */
const NOTHING_TO_FORWARD = 2;

/** Sends the ticket of the default cache. Returns the exit status. */
export async function add({ enforced }: StepSettings): Promise<number> {
  let configuration: ClientConfiguration;
  try {
    configuration = readConfiguration(configurationFile(undefined));
  } catch (error) {
    printError(`API init failed : ${failureText(error)}\n`);
    return 1;
  }
  try {
    await forwardTicket(configuration);
    return 0;
  } catch (error) {
    const isMissing = error instanceof AuksError && error.error === "KRB5_CCACHE_READ";
    const suffix = isMissing && enforced ? " [enforced]" : "";
    printError(`cred forwarding failed : ${failureText(error)}${suffix}\n`);
    return isMissing ? NOTHING_TO_FORWARD : 1;
  }
}
