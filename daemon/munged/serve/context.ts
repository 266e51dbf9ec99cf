// Inputs and output of a decision on a request, as plain types: the client, the context of the request, and the answer.
// The decisions are in request.ts, encode.ts and decode.ts; worker_context.ts provides the context.
import type { OpenedCredential } from "../../../lib/credential/fields.ts";
import type { Primitives } from "../../../lib/credential/primitives.ts";
import type { Subkeys } from "../../../lib/credential/subkeys.ts";
import type { MungeErrorCode } from "../../../lib/errors.ts";
import type { Allocate } from "../../../lib/protocol/message.ts";
import type { OverflowIds } from "../../../lib/os/user_namespace.ts";
import type { Direction } from "../config.ts";
import type { PolicyRule } from "../observe/counters.ts";
import type { RealmPolicy } from "../policy/policy.ts";
import type { Logger } from "../../process/log.ts";
import type { Remembered, ReplayCache } from "../replay/cache.ts";
import type { Verdict } from "../replay_store/messages.ts";

/** The sender of a request, from the kernel. */
export interface Peer {
  /** 0 for a process that the kernel can't identify. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** A realm as a worker serves it. */
export interface ServedRealm {
  /** Its keys, the active one first. */
  readonly ring: readonly Subkeys[];
  readonly policy: RealmPolicy;
}

/** What a decision needs besides the request. */
export interface RequestContext {
  readonly primitives: Primitives;
  /** A realm that is served. Throws EMUNGE_BAD_REALM for an unknown one. */
  realmOf(name: string): ServedRealm;
  /** Maximum length of a payload, in bytes. */
  readonly maxPayload: number;
  /** Maximum time-to-live granted, in seconds. */
  readonly maxTtl: number;
  /** Time-to-live of a credential for which the client requested none, in seconds. */
  readonly defaultTtl: number;
  /** Seconds by which clocks may differ; null for the reference's rule. */
  readonly timestampDriftMax: number | null;
  /** IPv4 address carried by credentials made here. */
  readonly originAddress: Uint8Array;
  /** Seconds since the epoch. */
  now(): number;
  /** Fills with random bytes. */
  fillRandom(bytes: Uint8Array): void;
  /** Whether the user has this supplementary group. */
  isMember(uid: number, gid: number): boolean;
  readonly overflow: OverflowIds;
  /** Null if replays are not detected. */
  readonly replayCache: ReplayCache | null;
  /** Null if replays are refused on this host only. */
  readonly realmReplays: RealmReplays | null;
  /** Provides memory for a response, valid until the next request; throws EMUNGE_NO_MEMORY. */
  readonly allocate: Allocate;
  readonly log: Logger;
  /** munged's status as JSON; null for a client that is not allowed to see it. */
  status(peer: Peer): string | null;
  /** Records a refused decode, unless it was not a credential at all. */
  refused(refusal: Refusal): void;
  /** Counts the types of a credential that was made or proved authentic. */
  used(direction: Direction, cipher: number, mac: number, zip: number): void;
  /** Counts a request that the policy refuses. */
  refusedByPolicy(direction: Direction, rule: PolicyRule): void;
}

/** All of it except the memory for responses, which delivery.ts provides. */
export type WorkerContext = Omit<RequestContext, "allocate">;

/** A refused decode. */
export interface Refusal {
  readonly error: MungeErrorCode;
  readonly peer: Peer;
  /** The credential as received. */
  readonly credential: Uint8Array;
  /** Its contents; undefined unless one of our keys made it. */
  readonly opened: OpenedCredential | undefined;
  readonly decodeTime: number;
}

/** Detection of replays in a whole realm, with the store that its hosts share. */
export interface RealmReplays {
  /** What to do without the store's answer: refuse, or rely on this host's cache alone. */
  readonly policy: "refuse" | "host";
  /** Whether replays of the realm's credentials are refused on all its hosts. */
  covers(realm: string): boolean;
  /**
   * Asks whether a credential is new in its realm.
   *
   * @param expiry and `now` in seconds since the epoch.
   * @returns the question's number.
   */
  ask(credential: OpenedCredential, expiry: number, now: number): number;
  /** Cancels a question. */
  drop(question: number): void;
}

/** A decode that waits for the store's answer. */
export interface Deferred {
  readonly bytes: null;
  readonly question: number;
  /** The memory it needs until then. */
  readonly held: Uint8Array;
  /** The answer to the client, once the store's verdict is known. */
  decide(verdict: Verdict): Answer;
  /** Call it instead if the client is gone. */
  abandon(): void;
}

/** A response, and the replay entry to remove if it can't be delivered. */
export interface Answer {
  readonly bytes: Uint8Array;
  readonly remembered: Remembered | null;
}

/** An IPv4 address in messages; 0.0.0.0 for a credential without one. */
export function addressText(address: Uint8Array): string {
  return address.length === 0 ? "0.0.0.0" : address.join(".");
}
