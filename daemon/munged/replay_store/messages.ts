// What workers and the store's thread tell each other, as plain data.
import type { MessagePort } from "node:worker_threads";
import type { LogTarget } from "../../process/log_target.ts";
import type { DaemonConfig } from "../config.ts";

/** A worker's question: is this credential new in the whole realm? */
export interface Question {
  /** Chosen by the worker; the answer repeats it. */
  readonly number: number;
  /** The credential's name in the store. */
  readonly name: string;
  /** Milliseconds for which the store must remember it. */
  readonly lifetime: number;
  /** When it was made, seconds since the epoch. */
  readonly encodeTime: number;
}

/** The answers. */
export const VERDICT = {
  /** No other host has decoded it. */
  fresh: 0,
  /** Another host has. */
  replayed: 1,
  /** The store can't be reached, or is not certain to remember. */
  unavailable: 2,
  /** It was made before the store's records begin. */
  tooOld: 3,
} as const;

/** One of {@linkcode VERDICT}. */
export type Verdict = typeof VERDICT[keyof typeof VERDICT];

/** A question's number and its answer. */
export interface Answered {
  readonly number: number;
  readonly verdict: Verdict;
}

/** A channel between the store's thread and a worker. */
export interface Channel {
  readonly port: MessagePort;
  /** Write end of the pipe that wakes the worker; open for as long as munged runs. */
  readonly wakeEnd: number;
}

/** The settings of a store. */
export type StoreConfig =
  & Pick<
    DaemonConfig,
    | "replayStoreCaFile"
    | "replayStorePasswordFile"
    | "replayStorePolicy"
    | "replayStoreReplicas"
    | "replayStoreTimeout"
    | "timestampDriftMax"
    | "trustedGroup"
    | "force"
  >
  & { readonly replayStore: NonNullable<DaemonConfig["replayStore"]> };

/** What the store's thread starts with. */
export interface StoreThreadSettings {
  readonly config: StoreConfig;
  /** What this munged, and no other, stores beside each credential. */
  readonly token: string;
  readonly log: LogTarget;
  /** Memory of figures.ts. */
  readonly figures: SharedArrayBuffer;
}

/** Orders to the store's thread. */
export type ToStoreThread =
  | { readonly kind: "start"; readonly settings: StoreThreadSettings }
  | { readonly kind: "channel"; readonly channel: Channel };
