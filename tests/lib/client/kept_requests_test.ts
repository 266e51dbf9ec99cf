// The queue of requests over a kept connection. What is sent and received is tested in tests/mod/load_test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type KeptFailure, KeptRequests } from "../../../lib/client/kept_requests.ts";
import { MungeError } from "../../../lib/errors.ts";
import { limitsTransaction } from "../../../lib/protocol/transaction.ts";

function add(requests: KeptRequests, message: Uint8Array, reject = (_: KeptFailure) => {}): void {
  requests.add({
    message,
    transaction: limitsTransaction(),
    resolve: () => {},
    reject,
    sentAt: 0,
    next: undefined,
  });
}

test("KeptRequests sends messages in order, several in one piece", () => {
  const requests = new KeptRequests();
  for (const message of [[1, 2], [3], [4, 5, 6]]) add(requests, Uint8Array.from(message));
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

test("KeptRequests forgets what is answered, although there is always a request in flight", async () => {
  const requests = new KeptRequests();
  const messages: WeakRef<Uint8Array>[] = [];
  for (let i = 0; i <= 1_000; i++) {
    const message = new Uint8Array(1_000).fill(i & 0xff);
    messages.push(new WeakRef(message));
    add(requests, message);
    requests.send(1, i);
    if (i === 0) continue;
    requests.answered();
    assert.equal(requests.inFlight, 1);
    assert.equal(requests.first!.message[0], i & 0xff);
  }
  const left = () => messages.filter((message) => message.deref() !== undefined).length;
  for (let tries = 0; tries < 20 && left() >= 100; tries++) { // the engine may take words on the stack for pointers
    await pause(10); // a WeakRef keeps its target until the end of the turn
    Bun.gc(true);
  }
  assert.ok(left() < 100, `${left()} of 1001 messages in memory`);
  requests.answered();
  assert.deepEqual([requests.first, requests.inFlight], [undefined, 0]);
});

test("KeptRequests.rejectAll() says which requests munged may have received", () => {
  const requests = new KeptRequests();
  const failures: boolean[] = [];
  for (let i = 0; i < 4; i++) {
    add(requests, Uint8Array.of(i), ({ wasSent }) => failures.push(wasSent));
  }
  requests.send(3, 0);
  requests.answered();
  requests.rejectAll(new MungeError("EMUNGE_SOCKET"));
  assert.deepEqual(failures, [true, true, false]);
  assert.deepEqual([requests.first, requests.inFlight, requests.unsent], [undefined, 0, 0]);
});
