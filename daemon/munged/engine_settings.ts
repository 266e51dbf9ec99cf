// What the threads get from the configuration and from the parts that are prepared before they start.
import { overflowIds } from "../../lib/os/user_namespace.ts";
import { parkedBytes } from "./memory_limit.ts";
import { createCounters } from "./observe/counters.ts";
import type { StatusSources } from "./observe/status.ts";
import type { Prepared } from "./preparation.ts";
import type { EngineSettings } from "./serve/worker_messages.ts";

/** The sources of the status of a munged that starts now. */
export function statusSources(
  { config, logTarget, cache, store, socket, predecessor }: Prepared,
): StatusSources {
  return {
    startTime: Math.floor(Date.now() / 1000),
    maxPayload: config.maxPayload,
    counters: createCounters(config.numThreads),
    recent: logTarget.recent,
    replay: cache?.state ?? null,
    socket: {
      held_by_manager: socket.isOwnedByManager,
      taken_over_from: predecessor?.who ?? null,
    },
    store: store?.figures ?? null,
  };
}

/** The settings with which the threads start. */
export function engineSettings(prepared: Prepared, status: StatusSources): EngineSettings {
  const { config, origin, logTarget, keys, groups, listener, predecessor, cache, store } = prepared;
  return {
    listener,
    threads: config.numThreads,
    maxPayload: config.maxPayload,
    parkedBytes: parkedBytes(config.numThreads, config.maxPayload),
    maxTtl: config.maxTtl,
    defaultTtl: config.defaultTtl,
    timestampDriftMax: config.timestampDriftMax,
    originAddress: origin.address,
    realms: keys.realms,
    groups: groups.current,
    overflow: config.allowOverflowId ? { uid: null, gid: null } : overflowIds(),
    replay: cache?.state ?? null,
    store: store === null
      ? null
      : { policy: config.replayStorePolicy, scopes: config.replayScopes },
    log: logTarget,
    status,
    accepting: predecessor === null,
    handoverListener: null,
  };
}
