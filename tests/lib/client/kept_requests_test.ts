// The queue of requests over a kept connection. What is sent and received is tested in tests/mod/library_test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type KeptFailure, KeptRequests } from "../../../lib/client/kept_requests.ts";
import { MungeError } from "../../../lib/errors.ts";
import { MESSAGE_TYPE } from "../../../lib/protocol/message.ts";

function add(requests: KeptRequests, message: number[], reject = (_: KeptFailure) => {}): void {
  requests.add({
    message: Uint8Array.from(message),
    responseType: MESSAGE_TYPE.encodeResponse,
    resolve: () => {},
    reject,
    sentAt: 0,
  });
}

test("KeptRequests sends messages in order, several in one piece", () => {
  const requests = new KeptRequests();
  for (const message of [[1, 2], [3], [4, 5, 6]]) add(requests, message);
  assert.equal(requests.first, undefined);
  assert.deepEqual([...requests.send(2, 7)], [1, 2, 3]);
  assert.deepEqual([requests.inFlight, requests.unsent], [2, 1]);
  assert.deepEqual([...requests.first!.message], [1, 2]);
  assert.equal(requests.first!.sentAt, 7);
  assert.deepEqual([...requests.send(1, 8)], [4, 5, 6]);
  requests.answered();
  assert.deepEqual([...requests.first!.message], [3]);
  assert.equal(requests.inFlight, 2);
});

test("KeptRequests forgets what is answered, although there is always a request in flight", () => {
  const requests = new KeptRequests();
  add(requests, [0]);
  requests.send(1, 0);
  let most = 0;
  for (let i = 1; i <= 10_000; i++) {
    add(requests, [i & 0xff]);
    requests.send(1, i);
    requests.answered();
    assert.equal(requests.inFlight, 1);
    assert.deepEqual([...requests.first!.message], [i & 0xff]);
    most = Math.max(most, requests.held);
  }
  assert.ok(most <= 300, `${most} requests in memory`);
  requests.answered();
  assert.deepEqual([requests.first, requests.held], [undefined, 0]);
});

test("KeptRequests.rejectAll() says which requests munged may have received", () => {
  const requests = new KeptRequests();
  const failures: boolean[] = [];
  for (let i = 0; i < 4; i++) add(requests, [i], ({ wasSent }) => failures.push(wasSent));
  requests.send(3, 0);
  requests.answered();
  requests.rejectAll(new MungeError("EMUNGE_SOCKET"));
  assert.deepEqual(failures, [true, true, false]);
  assert.deepEqual([requests.held, requests.inFlight, requests.unsent], [0, 0, 0]);
});
