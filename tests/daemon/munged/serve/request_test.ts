// answerRequest(): munged's decision on each request, with the test's own clock, users and memory.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ReplayCache } from "../../../../daemon/munged/replay/cache.ts";
import { createReplayState } from "../../../../daemon/munged/replay/minutes.ts";
import { VERDICT, type Verdict } from "../../../../daemon/munged/replay_store/messages.ts";
import type {
  Deferred,
  RealmReplays,
  RequestContext,
} from "../../../../daemon/munged/serve/context.ts";
import { answerRequest } from "../../../../daemon/munged/serve/request.ts";
import { DEFAULTS } from "../../../../daemon/munged/config.ts";
import {
  type PolicySettings,
  type RealmPolicy,
  resolvePolicy,
} from "../../../../daemon/munged/policy/policy.ts";
import { noMemory } from "../../../../lib/bytes/memory.ts";
import { MAX_PAYLOAD_LENGTH } from "../../../../lib/credential/fields.ts";
import { deriveSubkeys } from "../../../../lib/credential/subkeys.ts";
import { primitives } from "../../../../lib/primitives/library.ts";
import { ERRNO, MungeError, type MungeErrorCode } from "../../../../lib/errors.ts";
import {
  type EncodeRequest,
  formatDecodeRequest,
  formatDecodeResponse,
  formatEncodeRequest,
  formatLimitsRequest,
  formatStatusRequest,
  HEADER_LENGTH,
  MAX_RETRY,
  maxMessageLength,
  MESSAGE_TYPE,
  parseDecodeResponse,
  parseEncodeResponse,
  parseHeader,
  parseLimitsResponse,
  parseStatusResponse,
} from "../../../../lib/protocol/message.ts";
import { encodeRequest } from "../../../requests.ts";
import { memoryLogger } from "../../scratch.ts";

const NOW = 1_700_000_000;
const CLIENT = { pid: 1, uid: 1000, gid: 100 };
const PAYLOAD = new TextEncoder().encode("a payload");
const ring = [deriveSubkeys(new Uint8Array(32).fill(7), primitives)];

const rules = (changes: Partial<PolicySettings>): PolicySettings => ({ ...DEFAULTS, ...changes });
const onlyRoot = rules({ realmAllow: [{ realm: "gpu", uids: [0], gids: [] }] });

/** A munged without sockets, and its log. Its realms are the default one and "gpu". */
function munged(changes: Partial<RequestContext> = {}, settings: PolicySettings = onlyRoot) {
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

const bodyOf = (message: Uint8Array) => message.subarray(HEADER_LENGTH);

test("a credential carries the identity of the client that asked for it, and its payload", () => {
  const { encode, decode } = munged();
  const { errno, credential } = encode();
  assert.equal(errno, 0);
  const { uid, gid, ttl, payload, originAddress, encodeTime, ...opened } = decode(credential, {
    pid: 1,
    uid: 0,
    gid: 0,
  });
  assert.equal(opened.errno, 0);
  assert.deepEqual({ pid: CLIENT.pid, uid, gid }, CLIENT);
  assert.equal(ttl, 300);
  assert.equal(encodeTime, NOW);
  assert.deepEqual([...originAddress], [192, 0, 2, 1]);
  assert.deepEqual([...payload], [...PAYLOAD]);
});

test("the requested time-to-live is granted up to the maximum", () => {
  const { encode, decode } = munged({ maxTtl: 600 });
  for (const [asked, granted] of [[0, 300], [10, 10], [601, 600], [0xffff_ffff, 600]] as const) {
    assert.equal(decode(encode({ ttl: asked }).credential).ttl, granted);
  }
});

test("the time-to-live of another munged's credential counts up to the maximum here", () => {
  const made = (age: number) => munged({ now: () => NOW - age }).encode({ ttl: 3600 }).credential;
  const { decode } = munged({ maxTtl: 60 });
  const found = decode(made(60));
  assert.deepEqual([found.errno, found.ttl], [0, 60]);
  assert.equal(decode(made(61)).errno, ERRNO.EMUNGE_CRED_EXPIRED);
});

test("the second of two decodes gets a replay error, with the credential's contents", () => {
  const { encode, decode, refused } = munged();
  const { credential } = encode();
  assert.equal(decode(credential).errno, 0);
  const { errno, payload } = decode(credential);
  assert.equal(errno, ERRNO.EMUNGE_CRED_REPLAYED);
  assert.deepEqual([...payload], [...PAYLOAD]);
  assert.deepEqual(refused, ["EMUNGE_CRED_REPLAYED"]);
});

test("a retry is believed only if what its process has sent before is answered", () => {
  const { encode, decode } = munged();
  const { credential } = encode();
  assert.equal(decode(credential).errno, 0);
  assert.equal(decode(credential, CLIENT, 1).errno, 0);
  assert.equal(decode(credential, CLIENT, 2, false).errno, ERRNO.EMUNGE_CRED_REPLAYED);
});

test("an expired or rewound credential is refused with its contents, and not remembered", () => {
  let time = NOW;
  const { encode, decode } = munged({ now: () => time, timestampDriftMax: 5 });
  const { credential } = encode({ ttl: 60 });
  const outcomes = ([
    [-6, ERRNO.EMUNGE_CRED_REWOUND],
    [66, ERRNO.EMUNGE_CRED_EXPIRED],
    [-5, 0],
    [65, ERRNO.EMUNGE_CRED_REPLAYED],
  ] as const).map(([seconds, wanted]) => {
    time = NOW + seconds;
    const { errno, payload } = decode(credential);
    return { seconds, errno, wanted, length: payload.length };
  });
  for (const { seconds, errno, wanted, length } of outcomes) {
    assert.equal(errno, wanted, `${seconds} s`);
    assert.equal(length, PAYLOAD.length, `${seconds} s`);
  }
});

test("a restricted credential reveals nothing to a client that is not allowed to decode it", () => {
  const { encode, decode } = munged({ isMember: (uid, gid) => uid === 1002 && gid === 77 });
  const forUser = encode({ uidRestriction: 1001 }).credential;
  const forGroup = encode({ gidRestriction: 77 }).credential;
  for (const credential of [forUser, forGroup]) {
    const { errno, uid, payload } = decode(credential, { pid: 1, uid: 0, gid: 0 });
    assert.equal(errno, ERRNO.EMUNGE_CRED_UNAUTHORIZED);
    assert.equal(uid, 0xffff_ffff);
    assert.equal(payload.length, 0);
  }
  assert.equal(decode(forUser, { pid: 1, uid: 1001, gid: 1 }).errno, 0);
  assert.equal(decode(forGroup, { pid: 1, uid: 1002, gid: 1 }).errno, 0);
});

test("a realm serves the clients that may use it, and an unknown realm serves none", () => {
  const { encode } = munged();
  assert.equal(encode({ realm: "gpu" }).errno, ERRNO.EMUNGE_CRED_UNAUTHORIZED);
  assert.equal(encode({ realm: "gpu" }, 0, { pid: 1, uid: 0, gid: 0 }).errno, 0);
  assert.equal(
    encode({ realm: "nope" }, 0, { pid: 1, uid: 0, gid: 0 }).errno,
    ERRNO.EMUNGE_BAD_REALM,
  );
});

test("a client with the ID of all unmapped users or groups is refused, with an audit line", () => {
  const audits: unknown[] = [];
  const log = {
    ...memoryLogger(),
    audit: (event: string, _uid: number, cause: string) => void audits.push([event, cause]),
  };
  const { encode, decode } = munged({ overflow: { uid: 65_534, gid: 65_534 }, log });
  const { credential } = encode();
  for (const ids of [{ uid: 65_534, gid: 100 }, { uid: 1000, gid: 65_534 }]) {
    const peer = { ...CLIENT, ...ids };
    assert.equal(encode({}, 0, peer).errno, ERRNO.EMUNGE_CRED_UNAUTHORIZED);
    assert.equal(decode(credential, peer).errno, ERRNO.EMUNGE_CRED_UNAUTHORIZED);
  }
  assert.equal(decode(credential).errno, 0);
  assert.deepEqual(audits.slice(0, 2), [
    ["Refused encode", "overflow_id"],
    ["Refused decode", "overflow_id"],
  ]);
});

test("one retry too many is refused", () => {
  const { encode } = munged();
  assert.equal(encode({}, MAX_RETRY).errno, 0);
  assert.equal(encode({}, MAX_RETRY + 1).errno, ERRNO.EMUNGE_SOCKET);
});

test("a decode without memory for its answer is refused, and can be retried", () => {
  let isPoor = true;
  const { encode, decode, refused } = munged({
    allocate(length) {
      if (isPoor && length > 500) throw noMemory(new RangeError("Out of memory"));
      return new Uint8Array(length);
    },
  });
  isPoor = false;
  const { credential } = encode({ payload: new Uint8Array(1000) });
  isPoor = true;
  const { errno, payload } = decode(credential);
  assert.equal(errno, ERRNO.EMUNGE_NO_MEMORY);
  assert.equal(payload.length, 0);
  assert.deepEqual(refused, ["EMUNGE_NO_MEMORY"]);
  isPoor = false;
  assert.equal(decode(credential).errno, 0);
});

test("an unexpected error is logged, and not mistaken for a lack of memory", () => {
  const { encode, decode, log } = munged({
    isMember() {
      throw new RangeError("Offset is out of bounds");
    },
  });
  const { errno, errorText } = decode(encode({ gidRestriction: 77 }).credential);
  assert.equal(errno, ERRNO.EMUNGE_SNAFU);
  assert.equal(errorText, "Internal error");
  assert(log.lines.some((line) => /^error: Internal error: .*out of bounds/.test(line)));
});

test("every client learns the maximum length of a payload", () => {
  const { ask } = munged({ maxPayload: 5_000_000 });
  assert.equal(parseLimitsResponse(bodyOf(ask(formatLimitsRequest(0))!.bytes!)), 5_000_000);
});

test("the maximum length of a payload bounds encodes, and what a compressed credential may contain", () => {
  const low = munged();
  const high = munged({ maxPayload: MAX_PAYLOAD_LENGTH + 1 });
  const payload = new Uint8Array(MAX_PAYLOAD_LENGTH + 1);
  assert.equal(low.encode({ payload }).errno, ERRNO.EMUNGE_BAD_LENGTH);
  const longer = new Uint8Array(MAX_PAYLOAD_LENGTH + 2);
  assert.equal(high.encode({ payload: longer }).errno, ERRNO.EMUNGE_BAD_LENGTH);
  for (const zip of [0, 2, 3]) {
    const { errno, credential } = high.encode({ payload, zip });
    assert.equal(errno, 0);
    assert.equal(credential.length < MAX_PAYLOAD_LENGTH / 100, zip !== 0);
    if (zip !== 0) assert.equal(low.decode(credential).errno, ERRNO.EMUNGE_SNAFU);
    assert.equal(high.decode(credential).payload.length, payload.length);
  }
});

test("for any limit and any length, a payload passes exactly if it is within, and so do the messages", () => {
  for (let run = 0; run < 40; run++) {
    const maxPayload = MAX_PAYLOAD_LENGTH + Math.floor(Math.random() * 2 * MAX_PAYLOAD_LENGTH);
    const { encode, decode } = munged({ maxPayload });
    const longest = maxMessageLength(maxPayload);
    const length = maxPayload + 20 - Math.floor(Math.random() * 40);
    const payload = new Uint8Array(length).fill(run);
    crypto.getRandomValues(payload.subarray(0, Math.floor(Math.random() * 65_536)));
    const made = encode({ payload, zip: run % 4, mac: 6, cipher: 5, realm: "gpu" }, 0, {
      ...CLIENT,
      uid: 0,
    });
    assert.equal(made.errno === 0, length <= maxPayload, `${length} of ${maxPayload}`);
    if (made.errno !== 0) continue;
    assert(formatDecodeRequest({ credential: made.credential }, 0).length <= longest);
    const opened = decode(made.credential, { ...CLIENT, uid: 0 });
    assert(Buffer.from(opened.payload).equals(payload));
    assert(formatDecodeResponse(opened, 0).length <= longest);
  }
});

test("only root gets the status", () => {
  const { ask, answer, log } = munged();
  assert.equal(
    parseStatusResponse(answer(formatStatusRequest(0), { pid: 1, uid: 0, gid: 0 })),
    "{}",
  );
  assert.equal(ask(formatStatusRequest(0)), null);
  assert.deepEqual(log.lines, [`info: Invalid message type ${MESSAGE_TYPE.statusRequest}`]);
});

test("a client that sends a malformed request is disconnected without an answer", () => {
  const { ask, log } = munged();
  const request = formatEncodeRequest(encodeRequest(), 0);
  assert.equal(ask(request.subarray(0, -1 - 4)), null);
  assert.match(log.lines[0]!, /Failed to unpack message type/);
  request[5] = 99;
  assert.equal(ask(request), null);
  assert.deepEqual(log.lines.slice(1), ["info: Invalid message type 99"]);
});

test("a decode request without a credential, or with one that no key of ours made, is refused", () => {
  const { decode, encode, refused } = munged();
  const empty = decode(new Uint8Array(0));
  assert.equal(empty.errno, ERRNO.EMUNGE_BAD_ARG);
  const altered = encode().credential.slice();
  altered[60] = altered[60] === 0x41 ? 0x42 : 0x41; // another base64 digit
  const { errno, payload } = decode(altered);
  assert.equal(errno, ERRNO.EMUNGE_CRED_INVALID);
  assert.equal(payload.length, 0);
  assert.deepEqual(refused, ["EMUNGE_BAD_ARG", "EMUNGE_CRED_INVALID"]);
});

/** A munged whose realm shares a store, whose questions the test answers. */
function sharing(policy: RealmReplays["policy"]) {
  const dropped: number[] = [];
  let asked = 0;
  const { encode, decode, ask, refused } = munged({
    realmReplays: {
      policy,
      covers: (realm) => realm === "",
      ask: () => ++asked,
      drop: (question) => void dropped.push(question),
    },
  });
  const { credential } = encode();
  const begin = (retry = 0, peer = CLIENT): Deferred => {
    const deferred = ask(formatDecodeRequest({ credential }, retry), peer)!;
    assert(deferred.bytes === null);
    assert.equal(deferred.question, asked);
    return deferred;
  };
  const end = (deferred: Deferred, verdict: Verdict) =>
    parseDecodeResponse(bodyOf(deferred.decide(verdict).bytes));
  return { credential, encode, decode, refused, dropped, begin, end, asked: () => asked };
}

test("the store is asked about a credential that is new here, in realms that share it", () => {
  const { credential, encode, decode, begin, end, asked } = sharing("refuse");
  const root = { pid: 2, uid: 0, gid: 0 };
  assert.equal(decode(encode({ realm: "gpu" }, 0, root).credential, root).errno, 0);
  const deferred = begin();
  assert.equal(decode(credential).errno, ERRNO.EMUNGE_CRED_REPLAYED);
  assert.equal(decode(credential, CLIENT, 1).errno, ERRNO.EMUNGE_CRED_REPLAYED);
  const { errno, payload } = end(deferred, VERDICT.fresh);
  assert.equal(errno, 0);
  assert.deepEqual([...payload], [...PAYLOAD]);
  assert.equal(asked(), 1);
});

test("a retry is believed once the store has answered, and never if it knew the credential", () => {
  for (const verdict of [VERDICT.fresh, VERDICT.replayed]) {
    const { credential, decode, refused, begin, end, asked } = sharing("refuse");
    const isFresh = verdict === VERDICT.fresh;
    const errno = isFresh ? 0 : ERRNO.EMUNGE_CRED_REPLAYED;
    const response = end(begin(), verdict);
    assert.equal(response.errno, errno);
    assert.deepEqual([...response.payload], [...PAYLOAD]);
    assert.equal(decode(credential, CLIENT, 1).errno, errno);
    assert.equal(refused.length, isFresh ? 0 : 2);
    assert.equal(asked(), 1);
  }
});

test("without the store's answer, the policy decides", () => {
  for (const verdict of [VERDICT.away, VERDICT.older]) {
    const refuse = sharing("refuse");
    const { errno, errorText, payload } = refuse.end(refuse.begin(), verdict);
    assert.equal(errno, ERRNO.EMUNGE_SNAFU);
    assert.match(errorText, /replay store/i);
    assert.equal(payload.length, 0);
    assert.equal(refuse.end(refuse.begin(1), VERDICT.fresh).errno, 0, "nothing was consumed");
    const host = sharing("host");
    assert.equal(host.end(host.begin(), verdict).errno, 0);
    assert.equal(host.decode(host.credential).errno, ERRNO.EMUNGE_CRED_REPLAYED);
  }
});

test("a client that is gone before the store answers has consumed nothing", () => {
  const { dropped, begin, end } = sharing("refuse");
  begin().abandon();
  assert.deepEqual(dropped, [1]);
  assert.equal(end(begin(), VERDICT.fresh).errno, 0);
});

const BLOWFISH = 2;
const MD5 = 2;
const SHA1 = 3;
const SHA512 = 6;
const ZLIB = 3;
const ROOT = { pid: 1, uid: 0, gid: 0 };
const FORBIDDEN = { ...CLIENT, uid: 1001 };

test("types that the policy refuses are refused in the reference's words, with one audit line", () => {
  const settings = rules({
    security: [{ realm: null, level: "modern" }],
    algorithms: [{ realm: null, kind: "zip", directions: ["encode"], numbers: [0] }],
  });
  const open = munged();
  const { encode, decode, log, audits, refused, refusals, used } = munged({}, settings);
  for (
    const [request, errno, text, cause, named] of [
      [{ cipher: BLOWFISH }, 10, "Invalid cipher type 2", "policy_cipher", { cipher: "blowfish" }],
      [{ cipher: 0 }, 10, "Invalid cipher type 0", "policy_cipher", { cipher: "none" }],
      [{ mac: MD5 }, 11, "Invalid MAC type 2", "policy_mac", { mac: "md5" }],
      [{ zip: ZLIB }, 12, "Invalid compression type 3", "policy_zip", { zip: "zlib" }],
    ] as const
  ) {
    const answer = encode(request);
    assert.deepEqual([answer.errno, answer.errorText], [errno, text]);
    const audit = { cause, client_uid: 1000, client_gid: 100, ...named };
    assert.deepEqual(audits.at(-1), ["Refused encode", { ...audit, realm: "-" }]);
    if (cause === "policy_zip") continue; // it may be decoded
    const opened = decode(open.encode(request).credential);
    assert.deepEqual([opened.errno, opened.errorText], [errno, text]);
    assert.deepEqual([opened.uid, opened.payload.length], [0xffff_ffff, 0]);
    assert.deepEqual(audits.at(-1), ["Refused decode", { ...audit, claimed_realm: "-" }]);
  }
  assert.deepEqual([audits.length, log.lines, refused, used], [7, [], [], []]);
  assert.deepEqual(refusals.slice(0, 2), ["encode cipher", "decode cipher"]);
  const zipped = open.encode({ zip: ZLIB, payload: new Uint8Array(999) }).credential;
  assert.equal(decode(zipped).errno, 0);
  assert.deepEqual(used, ["decode 4 5 3"]);
});

test("types that do not exist are not a matter of policy", () => {
  const settings = rules({ security: [{ realm: null, level: "modern" }] });
  const { encode, audits, refusals } = munged({}, settings);
  for (const number of [6, 34, 255]) { // 34 has the same low bits as blowfish
    assert.equal(encode({ cipher: number }).errno, ERRNO.EMUNGE_BAD_CIPHER);
    assert.equal(encode({ mac: number + 1 }).errno, ERRNO.EMUNGE_BAD_MAC);
    assert.equal(encode({ zip: number }).errno, ERRNO.EMUNGE_BAD_ZIP);
  }
  assert.deepEqual([audits, refusals], [[], []]);
});

test("a client that asks for the default gets what the policy allows", () => {
  const settings = rules({
    algorithms: [
      { realm: null, kind: "cipher", directions: ["encode", "decode"], numbers: [5] },
      { realm: null, kind: "mac", directions: ["encode", "decode"], numbers: [SHA1, SHA512] },
    ],
  });
  const { encode, decode, used } = munged({}, settings);
  const { cipher, mac, errno } = decode(encode().credential);
  assert.deepEqual([errno, cipher, mac], [0, 5, SHA512]);
  assert.deepEqual(used, ["encode 5 6 0", "decode 5 6 0"]);
  assert.equal(encode({ mac: SHA1 }).errno, ERRNO.EMUNGE_BAD_MAC); // too short for aes256's key
});

test("a refused credential is refused the same, whether or not it is authentic", () => {
  const settings = rules({ security: [{ realm: null, level: "modern" }] });
  const { encode } = munged();
  const { decode } = munged({}, settings);
  const authentic = encode({ mac: MD5 }).credential;
  const forged = authentic.slice();
  forged[60] = forged[60] === 0x41 ? 0x42 : 0x41;
  assert.deepEqual(decode(forged), decode(authentic));
  const unlisted = munged(
    {},
    rules({
      clients: [{ realm: null, direction: "decode", who: { uids: [0], gids: [] } }],
    }),
  );
  const good = encode().credential;
  const bad = good.slice();
  bad[60] = bad[60] === 0x41 ? 0x42 : 0x41;
  assert.equal(unlisted.decode(good).errno, ERRNO.EMUNGE_CRED_UNAUTHORIZED);
  assert.deepEqual(unlisted.decode(bad), unlisted.decode(good));
  assert.equal(unlisted.decode(bad, ROOT).errno, ERRNO.EMUNGE_CRED_INVALID);
});

test("who may encode and who may decode is limited separately, in the default realm too", () => {
  const settings = rules({
    clients: [
      { realm: null, direction: "encode", who: { uids: [1000], gids: [] } },
      { realm: null, direction: "decode", who: { uids: [], gids: [0, 77] } },
      { realm: "gpu", direction: "encode", who: null },
    ],
  });
  const isMember = (uid: number, gid: number) => uid === 1002 && gid === 77;
  const { encode, decode, audits } = munged({ isMember }, settings);
  const { errno, errorText } = encode({}, 0, FORBIDDEN);
  assert.equal(errno, ERRNO.EMUNGE_CRED_UNAUTHORIZED);
  assert.equal(errorText, "Unauthorized client UID=1001 GID=100 for the default realm");
  assert.deepEqual(audits, [["Refused encode", {
    cause: "policy_client",
    client_uid: 1001,
    client_gid: 100,
    realm: "-",
  }]]);
  const { credential } = encode();
  assert.equal(decode(credential).errno, ERRNO.EMUNGE_CRED_UNAUTHORIZED);
  assert.equal(decode(credential, { ...CLIENT, uid: 1002 }).errno, 0);
  assert.equal(decode(encode().credential, ROOT).errno, 0);
  const inRealm = encode({ realm: "gpu" }, 0, FORBIDDEN); // everyone may
  assert.equal(inRealm.errno, 0);
  assert.equal(decode(inRealm.credential, FORBIDDEN).errno, ERRNO.EMUNGE_CRED_UNAUTHORIZED);
});

test("credentials from elsewhere are refused, and reveal nothing", () => {
  const networks = [{ address: 0xc000_0200, mask: 0xffff_ff00 }]; // 192.0.2.0/24
  const settings = rules({ origins: [{ realm: null, networks }] });
  const { decode, audits, refusals } = munged({}, settings);
  const from = (...origin: number[]) =>
    munged({ originAddress: Uint8Array.from(origin) }).encode().credential;
  assert.equal(decode(from(192, 0, 2, 255)).errno, 0);
  const answer = decode(from(192, 0, 3, 0));
  assert.deepEqual([answer.errno, answer.errorText, answer.uid, answer.payload.length], [
    ERRNO.EMUNGE_CRED_UNAUTHORIZED,
    "Unauthorized credential from origin 192.0.3.0",
    0xffff_ffff,
    0,
  ]);
  assert.deepEqual(audits, [["Refused decode", {
    cause: "policy_origin",
    client_uid: 1000,
    client_gid: 100,
    realm: "-",
    origin: "192.0.3.0",
    uid: 1000,
    gid: 100,
  }]]);
  assert.equal(decode(from()).errno, ERRNO.EMUNGE_CRED_UNAUTHORIZED); // has no origin
  assert.deepEqual(refusals, ["decode origin", "decode origin"]);
  const forOther = munged({ originAddress: Uint8Array.of(10, 0, 0, 1) }).encode({
    uidRestriction: 7,
  });
  assert.match(decode(forOther.credential).errorText, /for client UID=1000/); // its origin is not revealed
});
