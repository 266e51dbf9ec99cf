// auks-step begin: runs as root at the beginning of a step. A child becomes the user and looks for a ticket. If there is
// none, this process asks auksd, with the host's ticket, and passes the answer to the child through a pipe.
import { AuksError } from "../../../lib/auks/errors.ts";
import {
  clientSettings,
  configurationFile,
  readConfiguration,
} from "../../../lib/auks_client/configuration.ts";
import { get } from "../../../lib/auks_client/requests.ts";
import { Context, KerberosError } from "../../../lib/krb5/context.ts";
import { IS_COMPILED } from "../../../lib/os/thread_file.ts";
import { print, printError } from "../../command_line/print.ts";
import { type KeepAnswer, parseAnswer } from "./answer.ts";
import { readRecord, writeRecord } from "./record.ts";
import type { StepSettings } from "./settings.ts";

/** Standard input: the job's file, locked by the plugin. */
const JOB_FILE = 0;
/** More than any answer of the child's, which the user may influence. */
const MAX_LINE_LENGTH = 16_384;

/** Prints the cache's name. Returns the exit status. */
export async function begin(settings: StepSettings): Promise<number> {
  const recorded = readRecord(JOB_FILE);
  const child = Bun.spawn(keepCommand({ ...settings, recorded }), {
    // Its default cache is the user's, not the host's.
    env: { ...process.env, KRB5CCNAME: undefined },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const answers = linesOf(child.stdout);
  const next = async (): Promise<KeepAnswer> => parseAnswer((await answers.next()).value);
  let answer = await next();
  if (answer.kind === "wanted") {
    const krbCred = await fetchTicket(settings.uid);
    try {
      child.stdin.write(krbCred);
      await child.stdin.end();
    } finally {
      krbCred.fill(0);
    }
    answer = await next();
    if (answer.kind === "stored") writeRecord(JOB_FILE, answer.name);
  }
  const status = await child.exited;
  if (answer.kind !== "found" && answer.kind !== "stored") return status === 0 ? 1 : status;
  const { kind, name } = answer;
  printError(`user '${settings.uid}' cred ${kind} in ccache ${name}\n`);
  print(`${name}\n`);
  return 0;
}

function keepCommand({ uid, gid, job, step, ccache, found, recorded, noSwitch }: StepSettings) {
  return [
    ...IS_COMPILED ? [process.execPath] : [process.execPath, Bun.main],
    "auks-step",
    "keep",
    `--uid=${uid}`,
    `--gid=${gid}`,
    `--job=${job}`,
    `--step=${step}`,
    `--ccache=${ccache}`,
    `--found=${found}`,
    `--recorded=${recorded}`,
    ...noSwitch ? ["--no-switch"] : [],
  ];
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
    if (text.length > MAX_LINE_LENGTH) return;
  }
}

/** The user's ticket from auksd. @throws {AuksError} */
async function fetchTicket(uid: number): Promise<Uint8Array> {
  try {
    const context = Context.open();
    const configuration = readConfiguration(configurationFile(undefined));
    const client = { ...clientSettings(configuration, undefined), isHosts: true };
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
