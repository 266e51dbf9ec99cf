// One round of auksdrenewer: lists auksd's credentials and renews those that are due, several at a time and spread evenly
// over the time until the next round. The daemon, the KDC and the clock are arguments.
import { AuksError } from "../../lib/auks/errors.ts";
import type { PackedCredential } from "../../lib/auks/packed_credential.ts";
import type { AuksLog } from "../process/auks_log.ts";
import type { KdcResult } from "./kdc_task.ts";
import { isAtMaxLifetime, type RealmBackOff, realmOf, type Spread } from "./schedule.ts";

/** What a round needs. */
export interface RoundTools {
  dump(): Promise<readonly PackedCredential[]>;
  /** Fetches a credential and keeps other renewers from it. */
  claim(uid: number): Promise<PackedCredential>;
  add(krbCred: Uint8Array): Promise<void>;
  /** Renews at the KDC. */
  renew(krbCred: Uint8Array): Promise<KdcResult>;
  /** Seconds since the epoch. */
  now(): number;
  sleep(seconds: number): Promise<void>;
  readonly spread: Spread;
  readonly backOff: RealmBackOff;
  readonly log: AuksLog;
  /** Whether the renewer has been told to stop. */
  stopped(): boolean;
}

/** Limits of a round. */
export interface RoundLimits {
  /** Seconds between the starts of two rounds. */
  readonly delay: number;
  /** Maximum number of concurrent renewals. */
  readonly parallel: number;
  /** Maximum number of new KDC requests per second. */
  readonly perSecond: number;
}

/** Counts of one round, or of all rounds together. */
export interface Tally {
  dumped: number;
  renewed: number;
  /** Due, but already renewed by another renewer. */
  alreadyDone: number;
  failed: number;
  /** Due, but no KDC of the realm answers. */
  postponed: number;
  /** Tickets that can't be renewed beyond their end. */
  ending: number;
}

/** An empty tally. */
export function emptyTally(): Tally {
  return { dumped: 0, renewed: 0, alreadyDone: 0, failed: 0, postponed: 0, ending: 0 };
}

/** The share of the time until the next round over which renewals are spread. */
const SPREAD_OVER = 0.8;

/** Renews what is due in one round. @throws {AuksError} if auksd does not list its credentials. */
export async function renewDue(tools: RoundTools, limits: RoundLimits): Promise<Tally> {
  const { log, spread, now, sleep, stopped } = tools;
  const tally = emptyTally();
  const credentials = await tools.dump();
  tally.dumped = credentials.length;
  if (credentials.length > 0) log.info(1, `renewer: ${credentials.length} creds dumped`);
  const due = spread.due(credentials, now());
  const isDue = new Set(due);
  for (const credential of credentials) {
    if (isDue.has(credential)) continue;
    if (isAtMaxLifetime(credential)) tally.ending++;
    log.info(3, `renewer: ${credential.principal}'s cred doesn't need to be renewed now`);
  }
  const interval = Math.max(
    limits.delay * SPREAD_OVER / Math.max(1, due.length),
    1 / limits.perSecond,
  );
  const running = new Set<Promise<void>>();
  // Only many renewals need spreading.
  const pause = due.length <= limits.parallel ? 0 : Math.min(interval, 1);
  for (const credential of due) {
    if (stopped()) break;
    while (running.size >= limits.parallel) await Promise.race(running);
    const task = renewOne(tools, credential, tally).finally(() => running.delete(task));
    running.add(task);
    if (pause > 0) await sleep(pause);
  }
  await Promise.all(running);
  return tally;
}

async function renewOne(
  tools: RoundTools,
  credential: PackedCredential,
  tally: Tally,
): Promise<void> {
  const { log, backOff, now } = tools;
  const { principal, uid } = credential;
  const realm = realmOf(principal);
  if (isAtMaxLifetime(credential)) {
    tally.ending++;
    log.info(2, `renewer: ${principal}'s cred can't be renewed beyond its end`);
    return;
  }
  if (!backOff.mayAsk(realm, now())) {
    tally.postponed++;
    return;
  }
  try {
    const current = await tools.claim(uid);
    if (current.principal !== principal || current.endtime !== credential.endtime) {
      tally.alreadyDone++;
      log.info(3, `renewer: ${principal}'s cred was already renewed by another renewer`);
      backOff.cancelProbe(realm);
      return;
    }
    const result = await tools.renew(current.krbCred);
    if ("failure" in result) {
      tally.failed++;
      logFailure(tools, credential, result.failure, result.silent);
      return;
    }
    backOff.answered(realm);
    if (result.note !== undefined) log.info(1, `renewer: ${principal}'s cred: ${result.note}`);
    log.info(3, `renewer: ${principal}'s cred renewed in an addressless one`);
    await tools.add(result.krbCred);
    result.krbCred.fill(0);
    tally.renewed++;
    log.info(2, `renewer: ${principal}'s renewed cred successfully added to auksd`);
  } catch (error) {
    backOff.cancelProbe(realm);
    if (!(error instanceof AuksError)) throw error;
    if (error.error === "RENEW_IN_PROGRESS") {
      tally.alreadyDone++;
      return;
    }
    tally.failed++;
    log.info(1, `renewer: ${principal}'s cred (uid ${uid}): ${error.message}`);
  }
}

function logFailure(
  { log, backOff, now }: RoundTools,
  { principal, endtime }: PackedCredential,
  failure: string,
  silent: boolean,
): void {
  const realm = realmOf(principal);
  const end = new Date(endtime * 1000).toISOString();
  log.info(1, `renewer: unable to renew ${principal}'s cred, which ends at ${end} : ${failure}`);
  if (!silent) {
    backOff.answered(realm);
    return;
  }
  const pause = backOff.silent(realm, now());
  log.info(1, `renewer: no KDC of ${realm} answers, next try in ${pause} seconds`);
}
