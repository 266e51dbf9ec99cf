// auks -R: renews the ticket of a credential cache once, or repeatedly until it can no longer be renewed. When the job is
// over, a signal ends the loop.
import { AuksError } from "../../lib/auks/errors.ts";
import { isExpired, type Lifetime } from "../../lib/auks/store_rules.ts";
import type { ClientSettings } from "../../lib/auks_client/client.ts";
import { clientSettings } from "../../lib/auks_client/configuration.ts";
import { type HelperEvent, runHelperScript } from "../../lib/auks_client/helper_script.ts";
import { NotRenewed, renewCache } from "../../lib/auks_client/renewal.ts";
import { Context } from "../../lib/krb5/context.ts";
import type { AuksLog } from "../../daemon/process/auks_log.ts";
import type { Settings } from "./settings.ts";
import { logTo, type OpenedConfiguration } from "./configuration.ts";

/** Warns of a ticket that can no longer be renewed when this much is left, or twice MinLifeTime. */
const NOTICE_S = 3600;

/** Renews once, or until the ticket has expired. @throws {AuksError} */
export async function renew(settings: Settings, opened: OpenedConfiguration): Promise<void> {
  const { ccache, mode } = settings;
  const { config } = opened.configuration;
  const turns: Turns = {
    context: Context.open(),
    client: clientSettings(opened.configuration, undefined),
    ccache,
    minLifeTime: config.renewer.minLifeTime,
    helperScript: config.api.helperScript,
    log: logTo(config.renewer),
  };
  if (mode === "loop") await renewForEver(turns, config.renewer.delay);
  else {
    const { failure } = await turn(turns, false);
    if (failure !== undefined) throw new AuksError("GENERIC", failure);
  }
}

interface Turns {
  readonly context: Context;
  readonly client: ClientSettings;
  readonly ccache: string | undefined;
  readonly minLifeTime: number;
  readonly helperScript: string | undefined;
  readonly log: AuksLog;
}

/** Renews the ticket if it is due. @returns its times, and the helper script's failure, if any. */
async function turn(turns: Turns, eager: boolean) {
  const { context, client, ccache, minLifeTime, log } = turns;
  const { source, lifetime } = await renewCache(context, client, { ccache, minLifeTime, eager });
  const end = new Date(lifetime.endtime * 1000).toISOString();
  log.info(1, `auks -R: new ticket from ${source}, good until ${end}`);
  return { lifetime, failure: await runHelper(turns, "renewed") };
}

function runHelper({ helperScript, ccache }: Turns, event: HelperEvent) {
  return runHelperScript(helperScript, ccache, event);
}

async function renewForEver(turns: Turns, delay: number): Promise<never> {
  const { log, minLifeTime } = turns;
  /** Of the ticket seen last. */
  let seen: Lifetime | undefined;
  let noticed = 0;
  for (;;) {
    try {
      const { lifetime, failure } = await turn(turns, true);
      seen = lifetime;
      if (failure !== undefined) log.info(1, `auks -R: ${failure}`);
    } catch (error) {
      if (!(error instanceof AuksError)) throw error;
      if (error instanceof NotRenewed) seen = error.lifetime;
      // Waiting does not help if the ticket can't be read at the start, or can no longer be renewed.
      if (seen === undefined) throw error;
      if (isExpired(seen, Date.now() / 1000)) {
        // Whatever kept it from being renewed, which may have been its end meanwhile.
        throw error instanceof NotRenewed ? new AuksError("CRED_EXPIRED") : error;
      }
      if (error.error !== "CRED_STILL_VALID") log.info(1, `auks -R: ${error.message}`);
    }
    if (seen !== undefined && seen.endtime !== noticed && isEnding(seen, minLifeTime)) {
      noticed = seen.endtime;
      const end = new Date(seen.endtime * 1000).toISOString();
      log.info(
        1,
        `auks -R: the ticket ends at ${end} and can't be renewed; run auks -a with a new one`,
      );
      const failure = await runHelper(turns, "expiring");
      if (failure !== undefined) log.info(1, `auks -R: ${failure}`);
    }
    await pause(delay, seen);
  }
}

/** Whether a ticket expires soon and can't be renewed unless its user logs in again. */
function isEnding({ endtime, renewTill }: Lifetime, minLifeTime: number): boolean {
  const left = endtime - Date.now() / 1000;
  return left <= Math.max(NOTICE_S, 2 * minLifeTime) && endtime >= renewTill;
}

/** The delay, but at most half of the ticket's remaining time; slightly randomized, so that jobs don't all ask at once. */
async function pause(delay: number, seen: Lifetime | undefined): Promise<void> {
  const left = seen === undefined ? Infinity : seen.endtime - Date.now() / 1000;
  const seconds = Math.max(1, Math.min(Math.max(1, delay), left / 2)) * (0.9 + Math.random() / 10);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
