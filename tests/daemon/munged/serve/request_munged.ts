// A munged without sockets for the tests of requests: their own clock, users, memory and log.
import assert from "node:assert/strict";
import { DEFAULTS } from "../../../../daemon/munged/config.ts";
import {
  type PolicySettings,
  type RealmPolicy,
  resolvePolicy,
} from "../../../../daemon/munged/policy/policy.ts";
import { ReplayCache } from "../../../../daemon/munged/replay/cache.ts";
import { createReplayState } from "../../../../daemon/munged/replay/minutes.ts";
import type { RequestContext } from "../../../../daemon/munged/serve/context.ts";
import { answerRequest } from "../../../../daemon/munged/serve/request.ts";
import { MAX_PAYLOAD_LENGTH } from "../../../../lib/credential/fields.ts";
import { deriveSubkeys } from "../../../../lib/credential/subkeys.ts";
import { MungeError, type MungeErrorCode } from "../../../../lib/errors.ts";
import { primitives } from "../../../../lib/primitives/library.ts";
import {
  type EncodeRequest,
  formatDecodeRequest,
  formatEncodeRequest,
  HEADER_LENGTH,
  parseDecodeResponse,
  parseEncodeResponse,
  parseHeader,
} from "../../../../lib/protocol/message.ts";
import { encodeRequest } from "../../../requests.ts";
import { memoryLogger } from "../../memory_logger.ts";

/** The clock. */
export const NOW = 1_700_000_000;
/** A client. */
export const CLIENT = { pid: 1, uid: 1000, gid: 100 };
/** Its payload. */
export const PAYLOAD = new TextEncoder().encode("a payload");
const ring = [deriveSubkeys(new Uint8Array(32).fill(7), primitives)];

/** The default settings with some changes. */
export const rules = (changes: Partial<PolicySettings>): PolicySettings => ({
  ...DEFAULTS,
  ...changes,
});
const onlyRoot = rules({ realmAllow: [{ realm: "gpu", uids: [0], gids: [] }] });

/** A munged without sockets, and its log. Its realms are the default one and "gpu". */
export function munged(changes: Partial<RequestContext> = {}, settings: PolicySettings = onlyRoot) {
  const policies: Record<string, RealmPolicy> = {
    "": resolvePolicy(settings, ""),
    gpu: resolvePolicy(settings, "gpu"),
  };
  const audits: (readonly [string, Record<string, unknown>])[] = [];
  const used: string[] = [];
  const refusals: string[] = [];
  const log: ReturnType<typeof memoryLogger> = {
    ...memoryLogger(),
    audit: (event, _uid, cause, describe) => void audits.push([event, { cause, ...describe() }]),
  };
  const refused: MungeErrorCode[] = [];
  const context: RequestContext = {
    primitives,
    realmOf(realm) {
      const policy = policies[realm];
      if (policy === undefined) throw new MungeError("EMUNGE_BAD_REALM");
      return { ring, policy };
    },
    maxPayload: MAX_PAYLOAD_LENGTH,
    maxTtl: 3600,
    defaultTtl: 300,
    timestampDriftMax: null,
    originAddress: new Uint8Array([192, 0, 2, 1]),
    overflow: { uid: null, gid: null },
    now: () => NOW,
    fillRandom: (bytes) => crypto.getRandomValues(bytes),
    isMember: () => false,
    replayCache: new ReplayCache(createReplayState(null)),
    realmReplays: null,
    allocate: (length) => new Uint8Array(length),
    log,
    status: ({ uid }) => uid === 0 ? "{}" : null,
    refused: ({ error }) => void refused.push(error),
    used: (...types) => void used.push(types.join(" ")),
    refusedByPolicy: (...rule) => void refusals.push(rule.join(" ")),
    ...changes,
  };
  const ask = (message: Uint8Array, peer = CLIENT, isInOrder = true) => {
    const { type, retry } = parseHeader(message);
    return answerRequest(type, retry, isInOrder, message.subarray(HEADER_LENGTH), peer, context);
  };
  const answer = (message: Uint8Array, peer = CLIENT, isInOrder = true) => {
    const { bytes } = ask(message, peer, isInOrder)!;
    assert(bytes !== null, "waits for the store");
    return bodyOf(bytes);
  };
  const encode = (request: Partial<EncodeRequest> = {}, retry = 0, peer = CLIENT) =>
    parseEncodeResponse(
      answer(formatEncodeRequest(encodeRequest({ payload: PAYLOAD, ...request }), retry), peer),
    );
  const decode = (credential: Uint8Array, peer = CLIENT, retry = 0, isInOrder = true) =>
    parseDecodeResponse(answer(formatDecodeRequest({ credential }, retry), peer, isInOrder));
  return { ask, answer, encode, decode, log, refused, audits, used, refusals };
}

/** A message without its header. */
export const bodyOf = (message: Uint8Array): Uint8Array => message.subarray(HEADER_LENGTH);
