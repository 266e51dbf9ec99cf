// auks-step begin: runs as root when a step begins. A child becomes the user and looks for a ticket. If there is none, this
// process asks auksd, with the host's ticket, and passes the user's ticket to the child through a pipe.
import { AuksError } from "../../../lib/auks/errors.ts";
import {
  clientSettings,
  configurationFile,
  readConfiguration,
} from "../../../lib/auks_client/configuration.ts";
import { get } from "../../../lib/auks_client/requests.ts";
import { Context, KerberosError } from "../../../lib/krb5/context.ts";
import { print, printError } from "../../command_line/print.ts";
import { Keeper } from "./keeper.ts";
import { readRecord, writeRecord } from "./record.ts";
import type { StepSettings } from "./settings.ts";

/** Standard input: the job's file, locked by the plugin. */
const JOB_FILE = 0;
/**
 * How long the child may look for a ticket, and how long it may take to store one and run HelperScript. As the user can
 * cause all of these delays, two searches and the rest must take less than the 60 s after which Slurm drains a node whose
 * step can't be ended.
 */
const LOOK_MS = 10_000;
const STORE_MS = 30_000;

/** Prints the cache's name. Returns the exit status. */
export async function begin(settings: StepSettings): Promise<number> {
  const { uid } = settings;
  let keeper = new Keeper({ ...settings, recorded: readRecord(JOB_FILE) });
  let answer = await keeper.next(LOOK_MS);
  if (answer.kind === "late") {
    printError(`looking for a ticket in the caches of user ${uid} took too long\n`);
    keeper = new Keeper({ ...settings, recorded: "", found: "" });
    answer = await keeper.next(LOOK_MS);
  }
  if (answer.kind === "wanted") {
    const krbCred = await fetchTicket(uid);
    try {
      await keeper.give(krbCred);
    } finally {
      krbCred.fill(0);
    }
    answer = await keeper.next(STORE_MS);
    if (answer.kind === "stored") writeRecord(JOB_FILE, answer.name);
  }
  const status = await keeper.finish();
  if (answer.kind === "late") printError(`unable to store user ${uid} cred : it took too long\n`);
  if (answer.kind !== "found" && answer.kind !== "stored") return status || 1;
  const { kind, name } = answer;
  printError(`user '${uid}' cred ${kind} in ccache ${name}\n`);
  print(`${name}\n`);
  return 0;
}

/** The user's ticket from auksd. @throws {AuksError} */
async function fetchTicket(uid: number): Promise<Uint8Array> {
  try {
    const context = Context.open();
    const configuration = readConfiguration(configurationFile(undefined));
    const client = { ...clientSettings(configuration, undefined), isHostCache: true };
    const { krbCred, endtime } = await get(context, client, uid);
    if (endtime > Date.now() / 1000) return krbCred;
    krbCred.fill(0);
    const end = new Date(endtime * 1000).toISOString();
    throw new AuksError("CRED_EXPIRED", `auksd's ticket for the user ended at ${end}`);
  } catch (error) {
    if (error instanceof AuksError || error instanceof KerberosError) {
      printError(`unable to get user ${uid} cred : ${error.message}\n`);
      process.exit(1); // the child sees the end of its input
    }
    throw error;
  }
}
