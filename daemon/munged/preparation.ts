// What munged checks and opens before its threads start, in the reference's order: seed, keys, groups, the socket's lock,
// replay cache and socket. service.ts starts the rest.
import { checkFile } from "../../lib/files/security.ts";
import { close } from "../../lib/os/socket.ts";
import type { Logger } from "../process/log.ts";
import type { LogTarget } from "../process/log_target.ts";
import { removePidFile, writePidFile } from "../process/pid_file.ts";
import type { Teardown } from "../process/teardown.ts";
import { BoundSocket, SERVICE_MANAGER } from "./bound_socket.ts";
import type { DaemonConfig } from "./config.ts";
import { GroupUpdater } from "./groups/groups.ts";
import { askPredecessor, type Predecessor } from "./handover/predecessor.ts";
import { KeyStore } from "./keys/store.ts";
import { announcePolicies } from "./observe/policy_text.ts";
import { announceOrigin, type Origin } from "./origin.ts";
import { openReplayCache, prepareReplayCache, type ReplayStore } from "./replay/directory.ts";
import type { StoreThread } from "./replay_store/supervisor.ts";
import { readSeedFile } from "./seed_file.ts";
import { catchSignals, type Signals } from "./signals.ts";

/** How munged was started, and where each step of its start reports. */
export interface Startup {
  readonly config: DaemonConfig;
  readonly origin: Origin;
  /** The service manager's socket, or null. */
  readonly passed: number | null;
  readonly log: Logger;
  readonly logTarget: LogTarget;
  /** Gets each step of the shutdown as soon as there is something to undo. */
  readonly teardown: Teardown;
}

/** What is ready before the threads start. */
export interface Prepared extends Startup {
  /** Whether the directories of the seed file are secure, so that it may be written. */
  readonly isSeedSecure: boolean;
  readonly keys: KeyStore;
  readonly groups: GroupUpdater;
  /** Settles when the first group map is in force, or could not be built. */
  readonly firstMap: Promise<void>;
  readonly socket: BoundSocket;
  /** The socket's descriptor. */
  readonly listener: number;
  /** The running munged that this one replaces, and that serves until then; null for none. */
  readonly predecessor: Predecessor | null;
  readonly signals: Signals;
  /** Writes the PID file, which from then on is removed at the end. */
  claimPidFile(): void;
  /** Null if replays are not detected. */
  readonly cache: ReplayStore | null;
  /** The thread of the realm's store; null if replays are refused on this host only. */
  readonly store: StoreThread | null;
}

/** Takes all steps before the threads start. @throws {Error} if one fails. */
export async function prepare(startup: Startup): Promise<Prepared> {
  const { config, origin, log } = startup;
  announceOrigin(origin, log);
  const isSeedSecure = seedRandomness(startup);
  const keys = openKeys(startup);
  announcePolicies(keys.realms, config, origin.address, log);
  const { groups, firstMap } = startGroups(startup);
  const { socket, predecessor } = await claimSocket(startup);
  if (config.metricsFile !== null) checkFile("metrics", config.metricsFile, config, log);
  const signals = catchSignals(log);
  const claimPidFile = preparePidFile(startup);
  const cache = predecessor === null
    ? openReplayCache(config, log)
    : prepareReplayCache(predecessor.replayDir, config, log);
  const store = cache === null ? null : await startStore(startup);
  const listener = openListener(startup, socket, predecessor);
  return {
    ...startup,
    isSeedSecure,
    keys,
    groups,
    firstMap,
    socket,
    listener,
    predecessor,
    signals,
    claimPidFile,
    cache,
    store,
  };
}

function seedRandomness({ config, log }: Startup): boolean {
  log.info("Seeded PRNG with 128 bytes from getrandom()");
  const { isSecure, isSeeded } = readSeedFile(config.seedFile, config, log);
  if (config.benchmark) log.info("Disabled PRNG entropy pool stirring");
  else if (!isSeeded) log.info("Enabled PRNG entropy pool enhanced stirring");
  return isSecure;
}

function openKeys({ config, log, teardown }: Startup): KeyStore {
  const keys = new KeyStore(config, log);
  teardown.add(() => keys.wipe());
  return keys;
}

/** Builds the first group map in a thread, in parallel with the rest. */
function startGroups({ config, log, teardown }: Startup): Pick<Prepared, "groups" | "firstMap"> {
  const groups = new GroupUpdater(config, log);
  groups.announce();
  const firstMap = groups.start();
  teardown.add(() => groups.stop());
  return { groups, firstMap };
}

/** Takes the lock of the socket's path, unless a predecessor holds it and agrees to hand over. */
async function claimSocket(
  { config, log, teardown }: Startup,
): Promise<Pick<Prepared, "socket" | "predecessor">> {
  const socket = new BoundSocket(config, log);
  const predecessor = config.replace ? await askPredecessor(config, log) : null;
  if (predecessor === null) socket.lock();
  teardown.add(() => socket.removeLock()); // the last of our files, after which another munged may start
  return { socket, predecessor };
}

/** @returns {@linkcode Prepared.claimPidFile} */
function preparePidFile({ config, log, teardown }: Startup): () => void {
  let isOurs = false;
  teardown.add(() => {
    if (isOurs) removePidFile(config.pidFile, log);
  });
  return () => {
    writePidFile(config.pidFile, config, log);
    isOurs = true;
  };
}

/** Starts the thread of the realm's store, whose code is loaded only if there is one. */
async function startStore(
  { config, log, logTarget, teardown }: Startup,
): Promise<StoreThread | null> {
  const { replayStore } = config;
  if (replayStore === null) return null;
  const { StoreThread } = await import("./replay_store/supervisor.ts");
  const store = new StoreThread({ ...config, replayStore }, logTarget, log);
  teardown.add(() => store.stop());
  return store;
}

/** Receives the socket from the service manager or the predecessor, or binds it. */
function openListener(
  { passed, teardown }: Startup,
  socket: BoundSocket,
  predecessor: Predecessor | null,
): number {
  const listener = passed !== null
    ? socket.adopt(passed, SERVICE_MANAGER) // which has replaced a predecessor's socket, if any
    : predecessor !== null
    ? socket.adopt(predecessor.listener, predecessor.source)
    : socket.bind();
  if (passed !== null && predecessor !== null) close(predecessor.listener);
  teardown.add(() => socket.remove());
  return listener;
}
