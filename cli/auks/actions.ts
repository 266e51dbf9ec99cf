// The actions of auks, by option.
import { isatty } from "node:tty";
import { dumpTable } from "../../lib/auks/dump_table.ts";
import { AuksError } from "../../lib/auks/errors.ts";
import {
  formatSendFile,
  parseSendFile,
  SEND_HEADER_LENGTH,
  sendFileLength,
} from "../../lib/auks/send_file.ts";
import type { ClientSettings } from "../../lib/auks_client/client.ts";
import { clientSettings } from "../../lib/auks_client/configuration.ts";
import { prepareCredential } from "../../lib/auks_client/outgoing_credential.ts";
import { storeCredential } from "../../lib/auks_client/received_credential.ts";
import { add, dump, get, ping, remove } from "../../lib/auks_client/requests.ts";
import { Context } from "../../lib/krb5/context.ts";
import { isoTime } from "../../lib/os/local_time.ts";
import { isReaderGone, writeWhole } from "../../lib/os/standard_streams.ts";
import { userByName } from "../../lib/os/users.ts";
import { printable } from "../../lib/printable.ts";
import { wholeNumber } from "../command_line/values.ts";
import { print, printError } from "../command_line/print.ts";
import type { Action, Settings } from "./settings.ts";
import type { OpenedConfiguration } from "./configuration.ts";
import { renew } from "./renew.ts";

type Perform = (settings: Settings, opened: OpenedConfiguration) => Promise<void>;

/** The arguments with which an action asks auksd. */
function asking({ configuration }: OpenedConfiguration): [Context, ClientSettings] {
  return [Context.open(), clientSettings(configuration, undefined)];
}

/** Every action. @throws {AuksError} */
export const ACTIONS: Readonly<Record<Action, Perform>> = {
  async ping(_settings, opened) {
    await ping(...asking(opened));
  },

  async add({ ccache, verbose }, opened) {
    const [context, client] = asking(opened);
    const { log, configuration: { config: { crossRealm } } } = opened;
    const warn = (text: string) => {
      log.info(2, `auks_api: ${text}`);
      if (verbose > 0) printError(`Warning: ${text}\n`);
    };
    const { krbCred, principal } = prepareCredential(context, { ccache, crossRealm, warn });
    try {
      const report = await add(context, client, krbCred);
      if (report === undefined) return;
      const isStored = report.outcome === "stored";
      const what = `${isStored ? "stored" : "kept the better one already there"}, good until ${
        new Date(report.endtime * 1000).toISOString()
      }`;
      if (verbose > 0) print(`${principal}, uid ${report.uid}: ${what}\n`);
      else if (!isStored) printError(`auksd ${what}\n`);
    } finally {
      krbCred.fill(0);
    }
  },

  async get({ ccache, uid }, opened) {
    const [context, client] = asking(opened);
    const { krbCred } = await get(context, client, requestedUid(uid));
    try {
      storeCredential(context, ccache, krbCred);
    } catch (error) {
      if (error instanceof AuksError) throw new AuksError("API_REPLY", error.reason ?? error.text);
      throw error;
    } finally {
      krbCred.fill(0);
    }
  },

  async remove({ uid }, opened) {
    await remove(...asking(opened), requestedUid(uid));
  },

  async dump(_settings, opened) {
    const lines = dumpTable(await dump(...asking(opened)), isoTime);
    print(lines.map((line) => `${printable(line)}\n`).join(""));
  },

  async send({ uid }, opened) {
    if (isatty(1)) throw new AuksError("LIBRARY_TTY", "redirect it to a file or a pipe");
    const credential = await get(...asking(opened), requestedUid(uid));
    const bytes = formatSendFile(credential);
    try {
      writeWhole(1, bytes);
    } catch (error) {
      if (!isReaderGone(error)) throw error;
    } finally {
      bytes.fill(0);
    }
  },

  async receive({ ccache }) {
    const krbCred = await readSent();
    storeCredential(Context.open(), ccache, krbCred);
    krbCred.fill(0);
  },

  renew,
};

/**
 * The UID of -u, or the caller's.
 *
 * @throws {AuksError} API_PACK_UID for a text that is neither a number nor an account's name, which the original treats as
 * 0.
 */
function requestedUid(text: string | undefined): number {
  if (text === undefined) return process.geteuid!();
  const number = wholeNumber(text);
  if (number !== undefined && number >= -0x8000_0000n && number <= 0xffff_ffffn) {
    return Number(BigInt.asUintN(32, number));
  }
  const user = userByName(text);
  if (user !== undefined) return user.uid;
  throw new AuksError("API_PACK_UID", `unknown user "${text}"`);
}

/** The KRB-CRED that auks --send wrote to our standard input. */
async function readSent(): Promise<Uint8Array> {
  let received = new Uint8Array(0);
  let wanted = SEND_HEADER_LENGTH;
  for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) {
    received = Buffer.concat([received, chunk]);
    if (received.length < wanted) continue;
    if (wanted === SEND_HEADER_LENGTH) wanted += sendFileLength(received);
    if (received.length >= wanted) break;
  }
  if (received.length < SEND_HEADER_LENGTH) {
    throw new AuksError("GENERIC", "standard input ended before a complete credential");
  }
  const { krbCred } = parseSendFile(received);
  return krbCred;
}
