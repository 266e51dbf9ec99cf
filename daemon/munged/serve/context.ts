// What deciding on a request needs and gives, as plain types: who asks, the world around the request, and the
// answer. The decisions are in request.ts, encode.ts and decode.ts; worker.ts provides the world.
import type { OpenedCredential } from "../../../lib/credential/credential.ts";
import type { Subkeys } from "../../../lib/credential/subkeys.ts";
import type { Crypto } from "../../../lib/crypto/choice.ts";
import type { MungeErrorCode } from "../../../lib/errors.ts";
import type { Allocate } from "../../../lib/protocol/message.ts";
import type { Logger } from "../../process/log.ts";
import type { Remembered, ReplayCache } from "../replay/cache.ts";

/** Who sent a request, as the kernel tells. */
export interface Peer {
  /** 0 for a process that it can't name. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** What deciding on a request needs from the world. */
export interface RequestContext {
  readonly crypto: Crypto;
  /** Keys of a realm, the one that encodes first. Throws EMUNGE_BAD_REALM for a realm it has not. */
  ringOf(realm: string): readonly Subkeys[];
  /** Whether a client may encode and decode in a realm that has a name. */
  mayUse(realm: string, peer: Peer): boolean;
  /** The longest validity that is granted, in seconds. */
  readonly maxTtl: number;
  /** The validity of a credential whose maker asked for none in particular, in seconds. */
  readonly defaultTtl: number;
  /** Seconds by which clocks may differ; null for the reference's rule. */
  readonly timestampDriftMax: number | null;
  /** IPv4 address that credentials made here carry. */
  readonly originAddress: Uint8Array;
  /** Seconds since the epoch. */
  now(): number;
  /** Fills with random bytes. */
  fillRandom(bytes: Uint8Array): void;
  /** Whether the group is a supplementary one of the user. */
  isMember(uid: number, gid: number): boolean;
  /** Null when replays are not looked for. */
  readonly replayCache: ReplayCache | null;
  /** Makes the bytes of a response, which are used until the next request; throws EMUNGE_NO_MEMORY. */
  readonly allocate: Allocate;
  readonly log: Logger;
  /** How munged is, as JSON; null for a client who is not told. */
  status(peer: Peer): string | null;
  /** Takes note of a decode that was refused, but for what is no credential at all. */
  refused(refusal: Refusal): void;
}

/** A decode that was refused. */
export interface Refusal {
  readonly error: MungeErrorCode;
  readonly peer: Peer;
  /** The credential as it came. */
  readonly credential: Uint8Array;
  /** What it says, if it is one; undefined for one that no key of ours made. */
  readonly opened: OpenedCredential | undefined;
  readonly decodeTime: number;
}

/** A response, and the replay entry that must be taken back if it can't be delivered. */
export interface Answer {
  readonly bytes: Uint8Array;
  readonly remembered: Remembered | null;
}

/** An IPv4 address in messages; a credential without one says 0.0.0.0. */
export function addressText(address: Uint8Array): string {
  return address.length === 0 ? "0.0.0.0" : address.join(".");
}
