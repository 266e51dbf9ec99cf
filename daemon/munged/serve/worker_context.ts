// Makes the context of a worker's decisions on requests (context.ts) from its settings and the realms and groups in force.
import { primitives } from "../../../lib/primitives/executable.ts";
import type { Logger } from "../../process/log.ts";
import type { WorkerCounters } from "../observe/counters.ts";
import { collectStatus } from "../observe/status.ts";
import { ReplayCache } from "../replay/cache.ts";
import { audit } from "./audit.ts";
import type { RealmReplays, WorkerContext } from "./context.ts";
import type { ActiveConfig } from "./active_config.ts";
import type { WorkerSettings } from "./worker_messages.ts";

/** Opens the replay cache and makes one worker's context. */
export function createContext(
  settings: WorkerSettings,
  activeConfig: ActiveConfig,
  counters: WorkerCounters,
  log: Logger,
  realmReplays: RealmReplays | null,
): WorkerContext {
  return {
    primitives,
    realmOf: (name) => activeConfig.realmOf(name),
    maxPayload: settings.maxPayload,
    maxTtl: settings.maxTtl,
    defaultTtl: settings.defaultTtl,
    timestampDriftMax: settings.timestampDriftMax,
    originAddress: settings.originAddress,
    overflow: settings.overflow,
    now: () => Math.floor(Date.now() / 1000),
    fillRandom: (bytes) => crypto.getRandomValues(bytes),
    isMember: (uid, gid) => activeConfig.isMember(uid, gid),
    replayCache: settings.replay === null ? null : new ReplayCache(
      settings.replay,
      (text) => log.limited("replay journal", "warning", text),
    ),
    realmReplays,
    log,
    status: ({ uid }) =>
      uid === 0 || uid === process.geteuid!()
        ? JSON.stringify(collectStatus(settings.status, activeConfig.realms))
        : null,
    used: (direction, cipher, mac, zip) => counters.used(direction, cipher, mac, zip),
    refusedByPolicy: (direction, rule) => counters.refusedByPolicy(direction, rule),
    refused(refusal) {
      audit(refusal, log);
      const { error, opened, decodeTime } = refusal;
      if (error === "EMUNGE_CRED_INVALID") counters.invalid(decodeTime);
      else if (error === "EMUNGE_CRED_REWOUND") counters.rewound(opened!.encodeTime - decodeTime);
    },
  };
}
