// auks-step keep: the part of beginning a step that runs as the user. It becomes the job's user before touching a cache.
import { AuksError } from "../../../lib/auks/errors.ts";
import { configurationFile, readConfiguration } from "../../../lib/auks_client/configuration.ts";
import { runHelperScript } from "../../../lib/auks_client/helper_script.ts";
import {
  discardNewCache,
  holdsTicket,
  keepPrimary,
  makePrimary,
  nameJobCache,
} from "../../../lib/auks_client/job_cache.ts";
import { storeCredential } from "../../../lib/auks_client/received_credential.ts";
import { Context, KerberosError } from "../../../lib/krb5/context.ts";
import { becomeUser } from "../../../lib/os/identity.ts";
import { hideMemory } from "../../../lib/os/process.ts";
import { print, printError } from "../../command_line/print.ts";
import { formatAnswer } from "./answer.ts";
import type { StepSettings } from "./settings.ts";

/** Finds a ticket, or takes one from standard input. Returns the exit status. */
export async function keep(settings: StepSettings): Promise<number> {
  const { uid, gid, recorded, found } = settings;
  becomeUser(uid, gid);
  hideMemory(); // changing the user may undo it
  process.chdir("/");
  process.umask(0o077);
  const context = Context.open();
  const script = helperScript(); // first, as the user might not be able to read the configuration that names it
  const name = [recorded, found].find((name) => name !== "" && holdsTicket(context, name));
  if (name !== undefined) {
    print(formatAnswer("found", name));
    return 0;
  }
  print(formatAnswer("wanted"));
  const krbCred = await readInput();
  if (krbCred.length === 0) return 1; // auksd had none, which the other process reports
  try {
    const name = store(context, settings, krbCred);
    // The script must not inherit our output, whose end the other process waits for: it may leave processes running.
    const failure = await runHelperScript(script, name, "stored", "none");
    if (failure !== undefined) printError(`${failure}\n`);
    print(formatAnswer("stored", name));
    return 0;
  } catch (error) {
    if (!(error instanceof AuksError || error instanceof KerberosError)) throw error;
    printError(`unable to store user ${uid} cred : ${error.message}\n`);
    return 1;
  } finally {
    krbCred.fill(0);
  }
}

/** Stores a KRB-CRED. Returns the cache's name: that of earlier steps, which still use it, or a new one. */
function store(context: Context, settings: StepSettings, krbCred: Uint8Array): string {
  const { recorded, ccache, noSwitch } = settings;
  const fill = () => {
    const name = recorded === "" ? nameJobCache(context, ccache, settings) : recorded;
    try {
      storeCredential(context, name, krbCred);
    } catch (error) {
      if (recorded === "") discardNewCache(context, ccache, name); // nobody else knows its name
      throw error;
    }
    return name;
  };
  if (noSwitch) return keepPrimary(context, fill);
  const name = fill();
  makePrimary(context, name);
  return name;
}

function helperScript(): string | undefined {
  return readConfiguration(configurationFile(undefined)).config.api.helperScript;
}

async function readInput(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) chunks.push(chunk);
  const whole = Buffer.concat(chunks);
  for (const chunk of chunks) chunk.fill(0);
  return whole;
}
