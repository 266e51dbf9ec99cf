// The messages between the engine and its workers: the settings with which a worker starts, orders, and reports.
import type { MessagePort } from "node:worker_threads";
import type { OverflowIds } from "../../../lib/os/user_namespace.ts";
import type { LogTarget } from "../../process/log_target.ts";
import type { GroupMap } from "../groups/map.ts";
import type { Realms } from "../keys/realms.ts";
import type { StatusSources } from "../observe/status.ts";
import type { ReplayState } from "../replay/minutes.ts";
import type { StoreEnds } from "../replay_store/questions.ts";
import type { RealmStoreRules } from "../replay_store/scope.ts";
import type { ParkingLimits } from "./parked.ts";

/** What every worker needs; can be posted to a thread. */
export interface EngineSettings {
  /** Descriptor of the non-blocking listening socket. */
  readonly listener: number;
  /** Threads that serve requests. */
  readonly threads: number;
  /** Maximum length of a payload, in bytes. */
  readonly maxPayload: number;
  /** Bytes of clients' unfinished requests and answers that all threads together may keep. */
  readonly parkedBytes: number;
  readonly maxTtl: number;
  readonly defaultTtl: number;
  /** Seconds by which clocks may differ; null for the reference's rule. */
  readonly timestampDriftMax: number | null;
  readonly originAddress: Uint8Array;
  readonly realms: Realms;
  readonly groups: GroupMap;
  /** The IDs of clients to refuse, because they don't identify a user. */
  readonly overflow: OverflowIds;
  /** Null if replays are not detected. */
  readonly replay: ReplayState | null;
  /** Null if replays are refused on this host only. */
  readonly store: RealmStoreRules | null;
  readonly log: LogTarget;
  readonly status: StatusSources;
  /** Whether to accept connections; if not, not before {@linkcode Engine.accept}. */
  readonly accepting: boolean;
  /** Descriptor of the socket to which a munged connects to replace this one, or null. The first worker accepts for it. */
  readonly handoverListener: number | null;
}

/** The settings of one worker. */
export interface WorkerSettings extends EngineSettings {
  readonly store: (RealmStoreRules & { readonly ends: StoreEnds }) | null;
  /** From 1: its mark in `owners`. */
  readonly number: number;
  /** Read end of the pipe that tells it to check its orders. */
  readonly wake: number;
  readonly orders: MessagePort;
  /** Memory that the threads share (activity.ts, descriptors.ts, standby.ts, turns.ts). */
  readonly activity: SharedArrayBuffer;
  readonly descriptors: SharedArrayBuffer;
  readonly standby: SharedArrayBuffer;
  readonly turns: SharedArrayBuffer;
  /** Limits on what it keeps for parked clients. */
  readonly parking: ParkingLimits;
}

/** Orders to a worker. */
export type ToWorker =
  | { readonly kind: "groups"; readonly groups: GroupMap }
  | { readonly kind: "realms"; readonly realms: Realms; readonly generation: number }
  /** The store has a new thread. */
  | { readonly kind: "store"; readonly port: MessagePort }
  /** The listening descriptor now refers to a new socket. */
  | { readonly kind: "listen" }
  /** Accept no connections, and cut off clients that are not served within this time. */
  | { readonly kind: "rest"; readonly graceMs: number }
  | { readonly kind: "accept" }
  | { readonly kind: "handover"; readonly listener: number | null }
  | { readonly kind: "stop" };

/**
 * Reports of a worker: "failed" means that it ends for this reason, "realms" that it no longer uses any of an earlier
 * generation, "resting" that it serves no client, and "handover" that a munged that is to replace this one has connected.
 */
export type FromWorker =
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "ready" | "stopped" | "resting" }
  | { readonly kind: "handover"; readonly fd: number }
  | { readonly kind: "realms"; readonly generation: number };
