// answerRequest(): munged's decision on each request, with the test's own clock, users and memory.
import assert from "node:assert/strict";
import { test } from "node:test";
import { noMemory } from "../../../../lib/bytes/memory.ts";
import { MAX_PAYLOAD_LENGTH } from "../../../../lib/credential/fields.ts";
import { ERRNO } from "../../../../lib/errors.ts";
import {
  formatDecodeRequest,
  formatDecodeResponse,
  formatEncodeRequest,
  formatLimitsRequest,
  formatStatusRequest,
  MAX_RETRY,
  maxMessageLength,
  MESSAGE_TYPE,
  parseLimitsResponse,
  parseStatusResponse,
} from "../../../../lib/protocol/message.ts";
import { encodeRequest } from "../../../requests.ts";
import { memoryLogger } from "../../memory_logger.ts";
import { bodyOf, CLIENT, munged, NOW, PAYLOAD } from "./request_munged.ts";

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
