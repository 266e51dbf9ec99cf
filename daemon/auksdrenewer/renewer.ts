// auksdrenewer's loop: round after round until a signal, with its log and its metrics.
import { AuksError } from "../../lib/auks/errors.ts";
import type { ClientSettings } from "../../lib/auks_client/client.ts";
import { add, claim, dump } from "../../lib/auks_client/requests.ts";
import { Context } from "../../lib/krb5/context.ts";
import { forbidCoreDumps } from "../../lib/os/process.ts";
import { MAX_TIMER_MS } from "../../lib/timer.ts";
import type { AuksLog } from "../process/auks_log.ts";
import { formatMetrics, keepMetricsFile } from "../process/prometheus.ts";
import { KdcThreads } from "./kdc_threads.ts";
import { METRICS, type RenewerNumbers } from "./metrics.ts";
import { emptyTally, renewDue, type RoundLimits, type Tally } from "./round.ts";
import { RealmBackOff, Spread } from "./schedule.ts";

/** The renewer's settings; read again on SIGHUP. */
export interface RenewerSettings {
  readonly client: ClientSettings;
  readonly limits: RoundLimits;
  readonly minLifeTime: number;
  readonly log: AuksLog;
  /** Undefined for none. */
  readonly metricsFile: string | undefined;
}

/** Why the loop ended. */
export type Ending = "stop" | "reload";

/** Runs rounds until SIGTERM or SIGINT, or SIGHUP. */
export async function renewUntilSignal(settings: RenewerSettings): Promise<Ending> {
  const { log, limits, minLifeTime, metricsFile } = settings;
  forbidCoreDumps();
  const { ending, wake } = listenForSignals();
  const context = Context.open();
  const threads = new KdcThreads(limits.parallel);
  const backOff = new RealmBackOff();
  const spread = new Spread({ minLifeTime, random: Math.random });
  const numbers: Numbers = {
    totals: emptyTally(),
    last: emptyTally(),
    failedRounds: 0,
    roundEnd: 0,
    roundSeconds: 0,
    silentRealms: backOff.silentRealms,
  };
  const stopMetrics = metricsFile === undefined ? () => {} : keepMetricsFile(
    metricsFile,
    () => formatMetrics(METRICS, numbers),
    (text) => log.info(1, `renewer: ${text}`),
  );
  const sleep = async (seconds: number) => {
    if (ending() !== undefined) return;
    const delayMs = Math.min(seconds * 1000, MAX_TIMER_MS);
    await Promise.race([wake, new Promise((resolve) => setTimeout(resolve, delayMs))]);
  };
  const isOver = () => ending() !== undefined;
  const parts: RoundParts = { context, threads, backOff, spread, sleep, isOver };
  while (!isOver()) {
    await runRound(settings, parts, numbers);
    if (isOver()) break;
    log.info(2, `renewer: sleeping ${limits.delay} seconds before next renew`);
    await sleep(Math.max(0.1, limits.delay - numbers.roundSeconds));
  }
  log.info(1, "renewer: ending main loop");
  stopMetrics();
  await threads.stop();
  context.close();
  return ending()!;
}

type Numbers = { -readonly [K in keyof RenewerNumbers]: RenewerNumbers[K] };

/** The parts that all rounds share. */
interface RoundParts {
  readonly context: Context;
  readonly threads: KdcThreads;
  readonly backOff: RealmBackOff;
  readonly spread: Spread;
  sleep(seconds: number): Promise<void>;
  isOver(): boolean;
}

/** Runs one round, and adds its results to `numbers`. */
async function runRound(
  { log, limits, client }: RenewerSettings,
  { context, threads, backOff, spread, sleep, isOver }: RoundParts,
  numbers: Numbers,
): Promise<void> {
  const started = performance.now();
  try {
    const last = await renewDue({
      dump: () => dump(context, client),
      claim: (uid) => claim(context, client, uid),
      add: async (krbCred) => {
        await add(context, client, krbCred);
      },
      renew: (krbCred) => threads.renew(krbCred),
      now: () => Date.now() / 1000,
      sleep,
      spread,
      backOff,
      log,
      stopped: isOver,
    }, limits);
    numbers.last = last;
    addUp(numbers.totals, last);
    if (last.renewed > 0) {
      const seconds = Math.round((performance.now() - started) / 1000);
      log.info(1, `renewer: ${last.renewed} creds renewed in ~${seconds}s`);
    }
  } catch (error) {
    if (!(error instanceof AuksError)) throw error;
    numbers.failedRounds++;
    log.info(1, `renewer: unable to dump auksd creds : ${error.message}`);
  }
  numbers.roundSeconds = (performance.now() - started) / 1000;
  numbers.roundEnd = Date.now() / 1000;
  numbers.silentRealms = backOff.silentRealms;
}

function addUp(totals: Tally, round: Tally): void {
  for (const key of Object.keys(totals) as (keyof Tally)[]) totals[key] += round[key];
}

/** What the signals so far ask for, and a promise that settles when one arrives. */
function listenForSignals() {
  let asked: Ending | undefined;
  const { promise: wake, resolve } = Promise.withResolvers<void>();
  const meanings = { SIGTERM: "stop", SIGINT: "stop", SIGHUP: "reload" } as const;
  for (const [signal, meaning] of Object.entries(meanings)) {
    process.once(signal as keyof typeof meanings, () => {
      // A renewer that is stopping does not reload.
      if (asked !== "stop") asked = meaning;
      resolve();
    });
  }
  return { ending: () => asked, wake };
}
