// Everything munged sets up before it serves, in the reference's order: log, origin, memory, seed, key, groups, replay
// cache, socket, workers; and taking it down again at the end.
import { chmodSync, lstatSync, readFileSync, unlinkSync } from "node:fs";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { MungeError } from "../../lib/errors.ts";
import { softLimit } from "../../lib/os/limits.ts";
import { releaseProgramPages } from "../../lib/os/program_pages.ts";
import { forbidCoreDumps, lockMemory, signalText } from "../../lib/os/process.ts";
import { listenUnix } from "../../lib/os/socket.ts";
import { systemText } from "../../lib/os/system_text.ts";
import type { ReplayState } from "./replay/minutes.ts";
import { startUpkeep } from "./replay/upkeep.ts";
import { COMPATIBLE_VERSION } from "../../lib/version.ts";
import { type DaemonConfig, DEFAULT_LISTEN_BACKLOG } from "./config.ts";
import { createCounters } from "./observe/counters.ts";
import type { AnnounceReady } from "../process/background.ts";
import { Engine } from "./serve/engine.ts";
import { checkFile } from "../../lib/files/security.ts";
import { type GroupMap, NO_GROUPS } from "./groups/map.ts";
import { GroupUpdater } from "./groups/groups.ts";
import { KeyStore } from "./keys/store.ts";
import { lockSocket, removeLock } from "../process/lock_file.ts";
import { createLogger, type Logger, openLog, reopenLog, stderrLog } from "../process/log.ts";
import { startMetering } from "./observe/metrics.ts";
import { announceOrigin, type Origin, resolveOrigin } from "./origin.ts";
import { removePidFile, writePidFile } from "../process/pid_file.ts";
import { openReplayCache } from "./replay/directory.ts";
import type { StatusSources } from "./observe/status.ts";
import { readSeedFile, writeSeedFile } from "./seed_file.ts";
import { notifyManager } from "../process/systemd.ts";

const SOCKET_MODE = 0o777;
/** Linux's maximum length of a listen queue, net.core.somaxconn. */
const SOMAXCONN = "/proc/sys/net/core/somaxconn";
const MAX_LISTEN_BACKLOG = 2 ** 31 - 1;
/** How long to wait for the groups at startup; a slower name service must not keep munged from starting. */
const FIRST_MAP_PATIENCE_MS = 1000;

/** When everything that a start does has been done. */
const SETTLED_MS = 2_000;

/**
 * Serves until a signal ends it.
 *
 * @param announceReady called once munged serves requests.
 * @returns the exit status.
 */
export async function serve(config: DaemonConfig, announceReady: AnnounceReady): Promise<number> {
  const early = createLogger(stderrLog(config));
  let log = early;
  try {
    forbidCoreDumps();
    const origin = resolveOrigin(config, early);
    const target = openLog(config, early);
    log = createLogger(target);
    const daemon = await start(config, origin, log, target);
    announceReady();
    notifyManager("READY=1");
    setTimeout(releaseProgramPages, SETTLED_MS);
    const status = await daemon.run();
    notifyManager("STOPPING=1");
    await daemon.stop();
    return status;
  } catch (error) {
    const text = systemText(error);
    log.error(text);
    if (log !== early && !config.foreground) early.error(text);
    return 1;
  }
}

/** A running munged. */
interface RunningDaemon {
  /** Settles with the exit status when a signal or a failure ends it. */
  run(): Promise<number>;
  stop(): Promise<void>;
}

async function start(
  config: DaemonConfig,
  origin: Origin,
  log: Logger,
  logTarget: ReturnType<typeof openLog>,
): Promise<RunningDaemon> {
  log.notice(`Starting munge-${COMPATIBLE_VERSION} daemon (pid ${process.pid})`);
  announceOrigin(origin, log);
  const seed = seedRandomness(config, log);
  const keys = new KeyStore(config, log);
  let groups: GroupMap = NO_GROUPS;
  let engine: Engine | undefined;
  const updater = new GroupUpdater(config, log, (map) => {
    groups = map;
    engine?.updateGroups(map);
  });
  updater.announce();
  const firstMap = updater.start(); // in a thread, in parallel with the rest
  checkFile("socket", config.socketPath, config, log);
  if (config.metricsFile !== null) checkFile("metrics", config.metricsFile, config, log);
  const lock = lockSocket(config, log);
  const signals = catchSignals(log);
  const undo = [() => removeLock(lock, log)];
  let replay: ReplayState | null;
  let status: StatusSources;
  let removeSocket: () => void;
  try {
    replay = openReplayCache(config, log);
    status = {
      startTime: Math.floor(Date.now() / 1000),
      counters: createCounters(config.numThreads),
      recent: logTarget.recent,
      replay,
    };
    const socket = openSocket(config, log);
    const { listener } = socket;
    removeSocket = () => socket.remove();
    undo.push(removeSocket);
    writePidFile(config.pidFile, config, log);
    undo.push(() => removePidFile(config.pidFile, log));
    engine = await Engine.start({
      listener,
      threads: config.numThreads,
      maxTtl: config.maxTtl,
      defaultTtl: config.defaultTtl,
      timestampDriftMax: config.timestampDriftMax,
      originAddress: origin.address,
      realms: keys.realms,
      groups,
      replay,
      log: logTarget,
      status,
    }, log);
    engine.updateGroups(groups); // the first map may have arrived while the threads were starting
    const { numThreads } = config;
    log.info(`Created ${numThreads} work thread${numThreads === 1 ? "" : "s"}`);
    if (config.mlockall) lockAllMemory(log);
    await Promise.race([firstMap, sleep(FIRST_MAP_PATIENCE_MS, undefined, { ref: false })]);
  } catch (error) {
    while (undo.length > 0) undo.pop()!();
    throw error;
  }
  const serving = engine;
  keys.start((realms) => serving.updateRealms(realms));
  const stopMetering = startMetering(config, status, () => keys.realms, log);
  const upkeep = replay === null ? null : startUpkeep(replay, {
    syncMilliseconds: config.replaySync,
    drift: config.timestampDriftMax ?? 0,
  }, log);
  signals.reload = () => {
    log.notice(`Processing signal ${constants.signals.SIGHUP} (${signalText(1)})`);
    for (
      const step of [
        () => reopenLog(logTarget, config),
        () => updater.refresh(),
        () => keys.reload(),
      ]
    ) {
      try {
        step();
      } catch (error) {
        log.error(systemText(error));
      }
    }
  };
  const failed = serving.failed.then((error) => {
    log.error(error.message);
    return 1;
  });

  return {
    run: () => Promise.race([signals.ended, failed]),
    async stop() {
      updater.stop();
      stopMetering();
      await keys.stop();
      await serving.stop();
      await upkeep?.stop();
      removeSocket();
      keys.wipe();
      if (seed.isSecure) writeSeedFile(config.seedFile, log);
      removePidFile(config.pidFile, log);
      removeLock(lock, log); // last, because another munged may start from now on
      log.notice(`Stopping munge-${COMPATIBLE_VERSION} daemon (pid ${process.pid})`);
    },
  };
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

/** The socket on which clients reach munged. */
interface BoundSocket {
  readonly listener: number;
  /** Removes it, unless it belongs to another daemon by then. */
  remove(): void;
}

function openSocket(config: DaemonConfig, log: Logger): BoundSocket {
  const { socketPath, listenBacklog } = config;
  if (lstatSync(socketPath, { throwIfNoEntry: false }) !== undefined) {
    try {
      unlinkSync(socketPath);
    } catch (error) {
      throw new MungeError(
        "EMUNGE_SNAFU",
        `Failed to remove socket "${socketPath}": ${systemText(error)}`,
      );
    }
    log.info(`Removed existing socket "${socketPath}"`);
  }
  const backlog = backlogInForce(listenBacklog);
  const listener = listenUnix(socketPath, backlog);
  chmodSync(socketPath, SOCKET_MODE);
  const bound = lstatSync(socketPath);
  log.info(`Created socket "${socketPath}"`);
  log.info(`Set socket listen backlog to ${backlog}`);
  return {
    listener,
    remove() {
      try {
        const found = lstatSync(socketPath);
        if (found.ino === bound.ino && found.dev === bound.dev) unlinkSync(socketPath);
      } catch (error) {
        log.warning(`Failed to remove socket "${socketPath}": ${systemText(error)}`);
      }
    },
  };
}

/** The length of the listen queue; -1 stands for the maximum. */
function backlogInForce(asked: number): number {
  if (asked >= 0) return asked === 0 ? DEFAULT_LISTEN_BACKLOG : asked;
  try {
    return Number(readFileSync(SOMAXCONN, "utf8"));
  } catch {
    return MAX_LISTEN_BACKLOG; // which a system without that file silently lowers
  }
}

/** The signals munged handles. */
interface Signals {
  /** Settles with the exit status when one stops munged. */
  readonly ended: Promise<number>;
  /** The action for SIGHUP; none until it is set. */
  reload: () => void;
}

/** Catches signals from now on, because they may arrive even before munged has started completely. */
function catchSignals(log: Logger): Signals {
  const { promise: ended, resolve } = Promise.withResolvers<number>();
  const signals: Signals = { ended, reload: () => {} };
  process.on("SIGHUP", () => signals.reload());
  let isEnding = false;
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    // The handler stays, so that a second signal does not interrupt the orderly shutdown.
    process.on(name, () => {
      if (isEnding) return;
      isEnding = true;
      const number = constants.signals[name];
      log.notice(`Exiting on signal ${number} (${signalText(number)})`);
      resolve(0);
    });
  }
  return signals;
}
