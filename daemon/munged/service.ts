// munged from its start to its end: origin, log, preparation (preparation.ts), threads, and what keeps them up to date. Takes
// everything down again at the end, or if the start fails.
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MungeError } from "../../lib/errors.ts";
import { softLimit } from "../../lib/os/limits.ts";
import { forbidCoreDumps, lockMemory } from "../../lib/os/process.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { COMPATIBLE_VERSION } from "../../lib/version.ts";
import type { AnnounceReady } from "../process/background.ts";
import { FileWatch } from "../process/file_watch.ts";
import { createLogger, type Logger } from "../process/log.ts";
import { openLog, reopenLog, stderrLog } from "../process/log_target.ts";
import { notifyManager } from "../process/systemd.ts";
import { Teardown } from "../process/teardown.ts";
import type { BoundSocket } from "./bound_socket.ts";
import type { DaemonConfig } from "./config.ts";
import { engineSettings, statusSources } from "./engine_settings.ts";
import { type HandoverOffer, offerHandover } from "./handover/offer.ts";
import { takeOver } from "./handover/take_over.ts";
import { memoryWarning } from "./memory_limit.ts";
import { keepMetrics } from "./observe/metrics.ts";
import type { StatusSources } from "./observe/status.ts";
import { resolveOrigin } from "./origin.ts";
import { prepare, type Prepared, type Startup } from "./preparation.ts";
import { ReplayUpkeep } from "./replay/upkeep.ts";
import { writeSeedFile } from "./seed_file.ts";
import { Engine } from "./serve/engine.ts";
import { SocketGuard } from "./socket_guard.ts";
import { type Chore, releaseMemory, startTidying } from "./tidying.ts";

/** How long to wait for the groups at startup; a slower name service must not keep munged from starting. */
const FIRST_MAP_TIMEOUT_MS = 1000;

/**
 * Serves until a signal ends it.
 *
 * @param threadsAsked the number of threads requested; `config` has the number that is useful.
 * @param announceReady called once requests are served.
 * @param passed the service manager's socket, or null.
 * @returns the exit status.
 */
export async function serve(
  config: DaemonConfig,
  threadsAsked: number,
  announceReady: AnnounceReady,
  passed: number | null,
): Promise<number> {
  const early = createLogger(stderrLog(config));
  let log = early;
  try {
    forbidCoreDumps();
    admitOwner();
    const origin = resolveOrigin(config, early);
    const logTarget = openLog(config, early);
    log = createLogger(logTarget);
    warnOfThreads(config, threadsAsked, log);
    const teardown = new Teardown(log);
    let status: number;
    try {
      const startup = { config, origin, passed, log, logTarget, teardown };
      const { socket, ended } = await start(startup);
      announceReady();
      notifyManager("READY=1");
      status = await ended;
      if (!socket.isOwnedByOther) notifyManager("STOPPING=1");
    } finally {
      await teardown.disposeAsync();
    }
    log.notice(`Stopping munge-${COMPATIBLE_VERSION} daemon (pid ${process.pid})`);
    return status;
  } catch (error) {
    const text = systemText(error);
    log.error(text);
    if (log !== early && !config.foreground) early.error(text);
    return 1;
  }
}

/** munged, with all its parts. */
interface Munged extends Prepared {
  readonly status: StatusSources;
  /** The threads that serve requests. */
  readonly engine: Engine;
  /** Null if replays are not detected. */
  readonly upkeep: ReplayUpkeep | null;
}

/**
 * Starts serving.
 *
 * @returns the socket, and a promise of the exit status, which settles when a signal, a failure or a successor ends munged.
 */
async function start(
  startup: Startup,
): Promise<{ readonly socket: BoundSocket; readonly ended: Promise<number> }> {
  const { config, log, teardown } = startup;
  log.notice(`Starting munge-${COMPATIBLE_VERSION} daemon (pid ${process.pid})`);
  const prepared = await prepare(startup);
  const { socket, predecessor, firstMap, isSeedSecure } = prepared;
  const munged = await startThreads(prepared);
  await completeThreads(munged);
  await Promise.race([firstMap, sleep(FIRST_MAP_TIMEOUT_MS, undefined, { ref: false })]);
  if (predecessor !== null) await takeOver(predecessor, { ...munged, cache: munged.cache! });
  if (!config.benchmark) watchFiles(munged);
  // Early in the shutdown, while clients are still served.
  if (isSeedSecure) teardown.add(() => writeSeedFile(config.seedFile, log));
  reloadOnSignal(munged);
  startChores(munged);
  const offer = offerReplacement(munged);
  return { socket, ended: whenEnded(munged, offer) };
}

/** Starts the threads, which accept connections unless a predecessor still does, and the upkeep of their replay cache. */
async function startThreads(prepared: Prepared): Promise<Munged> {
  const { config, log, teardown, keys, groups, socket, predecessor, store } = prepared;
  const status = statusSources(prepared);
  if (predecessor === null) prepared.claimPidFile();
  const engine = await Engine.start(engineSettings(prepared, status), log, undefined, store);
  if (store !== null) store.onRestart = () => engine.connectStore();
  teardown.add(() => keys.stop());
  const upkeep = keepReplays(prepared);
  teardown.add(() => engine.stop({ isListenerShared: socket.isShared }));
  if (upkeep !== null) teardown.add(() => upkeep.save());
  groups.onUpdate = (map) => engine.updateGroups(map);
  engine.updateGroups(groups.current); // the first map may have arrived while the threads were starting
  const { numThreads } = config;
  log.info(`Created ${numThreads} work thread${numThreads === 1 ? "" : "s"}`);
  return { ...prepared, status, engine, upkeep };
}

function keepReplays({ config, log, teardown, cache }: Prepared): ReplayUpkeep | null {
  if (cache === null) return null;
  const upkeep = new ReplayUpkeep(cache.state, {
    syncMilliseconds: config.replaySync,
    drift: config.timestampDriftMax ?? 0,
  }, log);
  upkeep.start();
  teardown.add(() => upkeep.stop());
  return upkeep;
}

/** Starts all threads now, not with the first client, if locked memory or a replacement requires that. */
async function completeThreads({ config, log, predecessor, engine }: Munged): Promise<void> {
  // A limit on locked memory would end threads that start later, and a successor must serve as many clients.
  if (config.mlockall || predecessor !== null) await engine.complete();
  if (config.mlockall) lockAllMemory(log);
}

/** Keeps the metrics file up to date, and notices changed keys and a removed socket. */
function watchFiles(
  { config, log, teardown, keys, socket, listener, status, engine }: Munged,
): void {
  const stopMetrics = keepMetrics(config, status, () => keys.realms, log);
  teardown.add(() => stopMetrics(socket.isOwnedByOther));
  const watch = new FileWatch(log);
  teardown.add(() => watch.close());
  keys.start((realms) => engine.updateRealms(realms), watch);
  const guard = new SocketGuard(config, socket, listener, engine, log);
  teardown.add(() => guard.stop());
  watch.add(() => [dirname(config.socketPath)], () => guard.look());
}

function reloadOnSignal({ config, logTarget, signals, groups, keys }: Munged): void {
  signals.reload = [
    () => reopenLog(logTarget, config),
    () => groups.refresh(),
    () => keys.reload(),
  ];
}

function startChores({ teardown, engine, upkeep }: Munged): void {
  const chores: Chore[] = upkeep === null ? [] : [() => upkeep.tidy()];
  teardown.add(startTidying(() => engine.nextRequest(), [...chores, releaseMemory]));
}

/** Lets another munged replace this one, where that is possible. */
function offerReplacement(munged: Munged): HandoverOffer | null {
  const { log, teardown, socket, listener, cache, claimPidFile, engine } = munged;
  if (cache === null) return null;
  const parts = { socket, listener, engine, replay: cache, log, writePidFile: claimPidFile };
  const offer = offerHandover(parts);
  if (offer !== null) teardown.add(() => offer.stop());
  return offer;
}

async function whenEnded(
  { log, signals, engine }: Munged,
  offer: HandoverOffer | null,
): Promise<number> {
  const failed = engine.failed.then((error) => {
    log.error(error.message);
    return 1;
  });
  const ways = [signals.ended, failed];
  if (offer !== null) ways.push(offer.ended);
  return await Promise.race(ways);
}

/** Clears the umask bits that would keep munged from using the files it creates. */
function admitOwner(): void {
  const inherited = process.umask(0o077);
  process.umask(inherited & 0o077);
}

/** Warns of threads that would not help, or whose memory may exceed the limit. */
function warnOfThreads(config: DaemonConfig, threadsAsked: number, log: Logger): void {
  if (config.numThreads < threadsAsked) {
    log.warning(
      `Lowered number of threads from ${threadsAsked} to ${config.numThreads}: ` +
        "more would not be faster on this machine",
    );
  }
  const warning = memoryWarning(config.numThreads, config.maxPayload);
  if (warning !== null) log.warning(warning);
}

function lockAllMemory(log: Logger): void {
  const bytes = softLimit("lockedMemory");
  const limit = bytes === Infinity ? "unlimited" : `${bytes} / ${Math.floor(bytes / 1024)} KB`;
  try {
    lockMemory();
  } catch (error) {
    const text = `Failed to lock pages into memory: ${systemText(error)}`;
    throw new MungeError("EMUNGE_SNAFU", `${text} (RLIMIT_MEMLOCK=${limit})`, { cause: error });
  }
  log.info(`Locked pages into memory (RLIMIT_MEMLOCK=${limit})`);
}
