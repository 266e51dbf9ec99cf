// Decodes in a realm that shares a replay store, whose answers the test gives.
import assert from "node:assert/strict";
import { test } from "node:test";
import { VERDICT, type Verdict } from "../../../../daemon/munged/replay_store/messages.ts";
import type { Deferred, RealmReplays } from "../../../../daemon/munged/serve/context.ts";
import { ERRNO } from "../../../../lib/errors.ts";
import { formatDecodeRequest, parseDecodeResponse } from "../../../../lib/protocol/message.ts";
import { bodyOf, CLIENT, munged, PAYLOAD } from "./request_munged.ts";

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
  for (const verdict of [VERDICT.unavailable, VERDICT.tooOld]) {
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
