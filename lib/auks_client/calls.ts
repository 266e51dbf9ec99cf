// The functions of mungebox/auks, for Bun only: auks.ts loads this file when one of them is called.
import type { PackedCredential } from "../auks/packed_credential.ts";
import { Context } from "../krb5/context.ts";
import type {
  AddedTicket,
  AddOptions,
  AuksOptions,
  ForwardedTicket,
  GetOptions,
} from "./call_types.ts";
import type { ClientSettings } from "./client.ts";
import {
  type ClientConfiguration,
  clientSettings,
  configurationFile,
  readConfiguration,
} from "./configuration.ts";
import { prepareCredential } from "./outgoing_credential.ts";
import { storeCredential } from "./received_credential.ts";
import * as requests from "./requests.ts";

interface Asking {
  readonly context: Context;
  readonly client: ClientSettings;
  readonly configuration: ClientConfiguration;
}

/** Calls `ask` with what a request to auksd needs. */
async function asking<T>(
  { config, ccache }: AuksOptions,
  ask: (asking: Asking) => Promise<T>,
): Promise<T> {
  const configuration = readConfiguration(configurationFile(config));
  const client = clientSettings(configuration, ccache);
  using context = Context.open();
  return await ask({ context, client, configuration });
}

/** See auks.ts. */
export async function add(options: AddOptions): Promise<AddedTicket> {
  return await asking(options, async ({ context, client, configuration }) => {
    const { principal, uid, endTime, krbCred } = prepareCredential(context, {
      ccache: options.from,
      crossRealm: configuration.config.crossRealm,
      warn: () => {},
    });
    try {
      const report = await requests.add(context, client, krbCred);
      return { principal, uid, endTime: date(endTime), outcome: report?.outcome };
    } finally {
      krbCred.fill(0);
    }
  });
}

/** See auks.ts. */
export async function get(uid: number, options: GetOptions): Promise<ForwardedTicket> {
  return await asking(options, async ({ context, client }) => {
    const credential = await requests.get(context, client, uid);
    try {
      if (options.into !== undefined) {
        storeCredential(context, options.into, credential.krbCred);
      }
      return ticketOf(credential);
    } finally {
      credential.krbCred.fill(0);
    }
  });
}

/** See auks.ts. */
export async function remove(uid: number, options: AuksOptions): Promise<void> {
  await asking(options, ({ context, client }) => requests.remove(context, client, uid));
}

/** See auks.ts. */
export async function list(options: AuksOptions): Promise<ForwardedTicket[]> {
  return await asking(options, async ({ context, client }) => {
    const credentials = await requests.dump(context, client);
    for (const { krbCred } of credentials) krbCred.fill(0);
    return credentials.map(ticketOf);
  });
}

function ticketOf({ uid, principal, starttime, endtime, renewTill }: PackedCredential) {
  return {
    uid,
    principal,
    startTime: date(starttime),
    endTime: date(endtime),
    renewUntil: renewTill === 0 ? undefined : date(renewTill),
  };
}

const date = (seconds: number) => new Date(seconds * 1000);
