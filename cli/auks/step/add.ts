// auks-step add: sends the user's ticket to auksd before a job starts, like auks -a, and says how it ended in the words of
// the original's plugin.
import { AuksError } from "../../../lib/auks/errors.ts";
import {
  type ClientConfiguration,
  clientSettings,
  configurationFile,
  readConfiguration,
} from "../../../lib/auks_client/configuration.ts";
import { prepareCredential } from "../../../lib/auks_client/outgoing_credential.ts";
import { add as request } from "../../../lib/auks_client/requests.ts";
import { Context, KerberosError } from "../../../lib/krb5/context.ts";
import { printError } from "../../command_line/print.ts";
import type { StepSettings } from "./settings.ts";

/** The status for a user without a ticket, which the plugin knows. */
const NOTHING_TO_FORWARD = 2;

/** Sends the ticket of the default cache. Returns the exit status. */
export async function add({ enforced }: StepSettings): Promise<number> {
  let configuration: ClientConfiguration;
  try {
    configuration = readConfiguration(configurationFile(undefined));
  } catch (error) {
    printError(`API init failed : ${reasonOf(error)}\n`);
    return 1;
  }
  try {
    await send(configuration);
    return 0;
  } catch (error) {
    const isMissing = error instanceof AuksError && error.error === "KRB5_CCACHE_READ";
    const suffix = isMissing && enforced ? " [enforced]" : "";
    printError(`cred forwarding failed : ${reasonOf(error)}${suffix}\n`);
    return isMissing ? NOTHING_TO_FORWARD : 1;
  }
}

async function send(configuration: ClientConfiguration): Promise<void> {
  const context = Context.open();
  const { crossRealm } = configuration.config;
  const { krbCred } = prepareCredential(context, { ccache: undefined, crossRealm, warn: () => {} });
  try {
    await request(context, clientSettings(configuration, undefined), krbCred);
  } finally {
    krbCred.fill(0);
  }
}

function reasonOf(error: unknown): string {
  const isKnown = error instanceof AuksError || error instanceof KerberosError ||
    (error instanceof Error && error.name === "KerberosUnavailable");
  if (!isKnown) throw error;
  return error.message;
}
