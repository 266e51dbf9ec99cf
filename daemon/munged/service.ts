// Prepares what munged needs to serve, in the reference's order: log, origin, seed, key, groups, replay cache, socket,
// workers, memory. Takes it all down again at the end, or if the start fails.
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MungeError } from "../../lib/errors.ts";
import { softLimit } from "../../lib/os/limits.ts";
import { close } from "../../lib/os/socket.ts";
import { forbidCoreDumps, lockMemory } from "../../lib/os/process.ts";
import { overflowIds } from "../../lib/os/user_namespace.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { COMPATIBLE_VERSION } from "../../lib/version.ts";
import type { AnnounceReady } from "../process/background.ts";
import { checkFile } from "../../lib/files/security.ts";
import { FileWatch } from "../process/file_watch.ts";
import { createLogger, type Logger } from "../process/log.ts";
import { type LogTarget, openLog, reopenLog, stderrLog } from "../process/log_target.ts";
import { removePidFile, writePidFile } from "../process/pid_file.ts";
import { notifyManager } from "../process/systemd.ts";
import { Teardown } from "../process/teardown.ts";
import { BoundSocket, SERVICE_MANAGER } from "./bound_socket.ts";
import type { DaemonConfig } from "./config.ts";
import { GroupUpdater } from "./groups/groups.ts";
import { type GroupMap, NO_GROUPS } from "./groups/map.ts";
import { KeyStore } from "./keys/store.ts";
import { memoryWarning, parkedBytes } from "./memory_limit.ts";
import { createCounters } from "./observe/counters.ts";
import { keepMetrics } from "./observe/metrics.ts";
import { announcePolicies } from "./observe/policy_text.ts";
import type { StatusSources } from "./observe/status.ts";
import { announceOrigin, type Origin, resolveOrigin } from "./origin.ts";
import { type HandoverOffer, offerHandover } from "./handover/offer.ts";
import { askPredecessor } from "./handover/predecessor.ts";
import { takeOver } from "./handover/take_over.ts";
import { openReplayCache, prepareReplayCache } from "./replay/directory.ts";
import { startUpkeep } from "./replay/upkeep.ts";
import type { StoreThread } from "./replay_store/supervisor.ts";
import { readSeedFile, writeSeedFile } from "./seed_file.ts";
import { Engine } from "./serve/engine.ts";
import { catchSignals } from "./signals.ts";
import { SocketGuard } from "./socket_guard.ts";
import { type Chore, releaseMemory, startTidying } from "./tidying.ts";

/** How long to wait for the groups at startup; a slower name service must not keep munged from starting. */
const FIRST_MAP_PATIENCE_MS = 1000;

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
    const target = openLog(config, early);
    log = createLogger(target);
    if (config.numThreads < threadsAsked) {
      log.warning(
        `Lowered number of threads from ${threadsAsked} to ${config.numThreads}: ` +
          "more would not be faster on this machine",
      );
    }
    const warning = memoryWarning(config.numThreads, config.maxPayload);
    if (warning !== null) log.warning(warning);
    const teardown = new Teardown(log);
    let status: number;
    try {
      const { ended, hasSuccessor } = await start(config, origin, log, target, teardown, passed);
      announceReady();
      notifyManager("READY=1");
      status = await ended;
      if (!hasSuccessor()) notifyManager("STOPPING=1");
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

/**
 * Starts serving.
 *
 * @returns a promise of the exit status, which settles when a signal or a failure ends munged.
 */
async function start(
  config: DaemonConfig,
  origin: Origin,
  log: Logger,
  logTarget: LogTarget,
  teardown: Teardown,
  passed: number | null,
): Promise<{ readonly ended: Promise<number>; hasSuccessor(): boolean }> {
  log.notice(`Starting munge-${COMPATIBLE_VERSION} daemon (pid ${process.pid})`);
  announceOrigin(origin, log);
  const seed = seedRandomness(config, log);
  const keys = new KeyStore(config, log);
  teardown.add(() => keys.wipe());
  announcePolicies(keys.realms, config, origin.address, log);
  let groups: GroupMap = NO_GROUPS;
  let engine: Engine | undefined;
  let offer: HandoverOffer | null = null;
  const hasSuccessor = () => offer !== null && offer.isDone;
  const updater = new GroupUpdater(config, log, (map) => {
    groups = map;
    engine?.updateGroups(map);
  });
  updater.announce();
  const firstMap = updater.start(); // in a thread, in parallel with the rest
  teardown.add(() => updater.stop());
  const socket = new BoundSocket(config, log);
  const predecessor = config.replace ? await askPredecessor(config, log) : null;
  if (predecessor === null) socket.lock();
  teardown.add(() => socket.removeLock()); // the last of our files, after which another munged may start
  if (config.metricsFile !== null) checkFile("metrics", config.metricsFile, config, log);
  const signals = catchSignals(log);
  let hasPidFile = false;
  teardown.add(() => {
    if (hasPidFile) removePidFile(config.pidFile, log);
  });
  const cache = predecessor === null
    ? openReplayCache(config, log)
    : prepareReplayCache(predecessor.replayDir, config, log);
  const replay = cache?.state ?? null;
  const store = replay === null ? null : await startStore(config, logTarget, log);
  if (store !== null) teardown.add(() => store.stop());
  const listener = passed !== null
    ? socket.adopt(passed, SERVICE_MANAGER) // which has replaced a predecessor's socket, if any
    : predecessor !== null
    ? socket.adopt(predecessor.listener, predecessor.source)
    : socket.bind();
  if (passed !== null && predecessor !== null) close(predecessor.listener);
  teardown.add(() => socket.remove());
  const status: StatusSources = {
    startTime: Math.floor(Date.now() / 1000),
    maxPayload: config.maxPayload,
    counters: createCounters(config.numThreads),
    recent: logTarget.recent,
    replay,
    socket: {
      held_by_manager: socket.isManagers,
      taken_over_from: predecessor?.who ?? null,
    },
    store: store?.figures ?? null,
  };
  const claimPidFile = () => {
    writePidFile(config.pidFile, config, log);
    hasPidFile = true;
  };
  if (predecessor === null) claimPidFile();
  const serving = engine = await Engine.start(
    {
      listener,
      threads: config.numThreads,
      maxPayload: config.maxPayload,
      parkedBytes: parkedBytes(config.numThreads, config.maxPayload),
      maxTtl: config.maxTtl,
      defaultTtl: config.defaultTtl,
      timestampDriftMax: config.timestampDriftMax,
      originAddress: origin.address,
      realms: keys.realms,
      groups,
      overflow: config.allowOverflowId ? { uid: null, gid: null } : overflowIds(),
      replay,
      store: store === null
        ? null
        : { policy: config.replayStorePolicy, scopes: config.replayScopes },
      log: logTarget,
      status,
      accepting: predecessor === null,
      door: null,
    },
    log,
    undefined,
    store,
  );
  if (store !== null) store.onRestart = () => serving.connectStore();
  teardown.add(() => keys.stop());
  const upkeep = replay === null ? null : startUpkeep(replay, {
    syncMilliseconds: config.replaySync,
    drift: config.timestampDriftMax ?? 0,
  }, log);
  if (upkeep !== null) teardown.add(() => upkeep.stop());
  teardown.add(() => serving.stop({ isListenerShared: socket.isShared }));
  if (upkeep !== null) teardown.add(() => upkeep.save());
  serving.updateGroups(groups); // the first map may have arrived while the threads were starting
  const { numThreads } = config;
  log.info(`Created ${numThreads} work thread${numThreads === 1 ? "" : "s"}`);
  // A limit on locked memory would end threads that start later, and a successor must serve as many clients.
  if (config.mlockall || predecessor !== null) await serving.complete();
  if (config.mlockall) lockAllMemory(log);
  await Promise.race([firstMap, sleep(FIRST_MAP_PATIENCE_MS, undefined, { ref: false })]);
  if (predecessor !== null) {
    const parts = { socket, listener, cache: cache!, engine: serving, signals, claimPidFile, log };
    await takeOver(predecessor, parts);
  }
  if (!config.benchmark) {
    const stopMetrics = keepMetrics(config, status, () => keys.realms, log);
    teardown.add(() => stopMetrics(hasSuccessor()));
    const watch = new FileWatch(log);
    teardown.add(() => watch.close());
    keys.start((realms) => serving.updateRealms(realms), watch);
    const guard = new SocketGuard(config, socket, listener, serving, log);
    teardown.add(() => guard.stop());
    watch.add(() => [dirname(config.socketPath)], () => guard.look());
  }
  // The first step of the shutdown, while clients are still served.
  if (seed.isSecure) teardown.add(() => writeSeedFile(config.seedFile, log));
  signals.reload = [
    () => reopenLog(logTarget, config),
    () => updater.refresh(),
    () => keys.reload(),
  ];
  const chores: Chore[] = upkeep === null ? [] : [() => upkeep.tidy()];
  teardown.add(startTidying(() => serving.nextRequest(), [...chores, releaseMemory]));
  const failed = serving.failed.then((error) => {
    log.error(error.message);
    return 1;
  });
  offer = cache === null ? null : offerHandover({
    socket,
    listener,
    engine: serving,
    replay: cache,
    log,
    writePidFile: claimPidFile,
  });
  const ways = [signals.ended, failed];
  if (offer !== null) {
    ways.push(offer.ended);
    teardown.add(offer.stop.bind(offer));
  }
  return { ended: Promise.race(ways), hasSuccessor };
}

/** Clears the umask bits that would keep munged from using the files it creates. */
function admitOwner(): void {
  const inherited = process.umask(0o077);
  process.umask(inherited & 0o077);
}

/** Starts the thread of the realm's store, whose code is loaded only if there is one. */
async function startStore(
  config: DaemonConfig,
  target: LogTarget,
  log: Logger,
): Promise<StoreThread | null> {
  const { replayStore } = config;
  if (replayStore === null) return null;
  const { StoreThread } = await import("./replay_store/supervisor.ts");
  return new StoreThread({ ...config, replayStore }, target, log);
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

function seedRandomness(config: DaemonConfig, log: Logger): { isSecure: boolean } {
  log.info("Seeded PRNG with 128 bytes from getrandom()");
  const seed = readSeedFile(config.seedFile, config, log);
  if (config.benchmark) log.info("Disabled PRNG entropy pool stirring");
  else if (!seed.isSeeded) log.info("Enabled PRNG entropy pool enhanced stirring");
  return seed;
}
