// Turns: expensive users wait for the others, and one worker at a time serves them as long as there are others.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ParkedClient } from "../../../../daemon/munged/serve/parked.ts";
import { createTurns, Turns } from "../../../../daemon/munged/serve/turns.ts";

const CHEAP = 0.02;
const LONG = 100;
const [GREEDY, HONEST, OTHER] = [1000, 0, 2000];

function client(uid: number, fd = 0): ParkedClient {
  const buffer = new Uint8Array(0);
  const peer = { pid: 1, uid, gid: uid };
  return { fd, peer, deadline: 0, buffer, done: 0, answer: null, isWatched: false };
}

/** Workers that share their turns, with the test's own clock. */
function workers(count: number) {
  const shared = createTurns(count);
  return Array.from({ length: count }, (_, index) => new Turns(shared, index + 1));
}

test("cheap requests never wait", () => {
  const [turns] = workers(1) as [Turns];
  for (let now = 0; now < 1000; now++) {
    for (const uid of [GREEDY, HONEST]) {
      assert.equal(turns.mustWait(uid, now), false);
      turns.charge(uid, now, CHEAP, 1);
    }
  }
});

test("a single user may use all of munged", () => {
  const [turns] = workers(1) as [Turns];
  for (let now = 0; now < 1000; now += 0.5) {
    assert.equal(turns.mustWait(GREEDY, now), false);
    turns.charge(GREEDY, now, 0.5, 1);
  }
});

test("a flooding user waits while there are others, and no longer once it has stopped", () => {
  const [turns] = workers(1) as [Turns];
  let now = 0;
  for (; now < 200; now += 0.5) turns.charge(GREEDY, now, 0.5, 1);
  turns.charge(HONEST, now, CHEAP, 1);
  assert.equal(turns.mustWait(GREEDY, now), true);
  assert.equal(turns.mustWait(HONEST, now), false);
  assert.equal(turns.mustWait(GREEDY, now + 1000), false);
});

test("receiving a long request in parts does not make it look cheap", () => {
  const [turns] = workers(1) as [Turns];
  turns.charge(GREEDY, 0, LONG, 1);
  for (let i = 0; i < 100; i++) turns.charge(GREEDY, 0, CHEAP, 0);
  assert.equal(turns.mustWait(GREEDY, 5000), true);
});

test("of those waiting, the user who has used least comes first, each in order", () => {
  const [turns] = workers(1) as [Turns];
  const now = 10_000;
  turns.charge(GREEDY, now, LONG, 1);
  turns.charge(OTHER, now, LONG / 2, 1);
  for (const fd of [1, 2]) turns.add(client(GREEDY, fd));
  turns.add(client(OTHER, 3));
  assert.equal(turns.hasWaiting, true);
  const order = [1, 2, 3].map(() => {
    const { fd } = turns.next(now)!;
    turns.release();
    return fd;
  });
  assert.deepEqual(order, [3, 1, 2]);
  assert.equal(turns.next(now), undefined);
  assert.equal(turns.hasWaiting, false);
});

test("a request waits behind earlier ones of its user", () => {
  const [turns] = workers(1) as [Turns];
  turns.charge(GREEDY, 0, CHEAP, 1);
  assert.equal(turns.mustWait(GREEDY, 0), false);
  turns.add(client(GREEDY));
  assert.equal(turns.mustWait(GREEDY, 0), true);
  turns.next(0);
  assert.equal(turns.mustWait(GREEDY, 0), false);
});

test("while there are others, one worker at a time serves a waiting user", () => {
  const [first, second] = workers(2) as [Turns, Turns];
  const now = performance.now();
  for (const turns of [first, second]) {
    turns.charge(GREEDY, now, LONG, 1);
    turns.add(client(GREEDY));
  }
  assert(first.next(now));
  assert(second.next(now), "no other user is waiting");
  first.release();
  second.release();

  for (const turns of [first, second]) turns.add(client(GREEDY));
  first.charge(HONEST, now, CHEAP, 1);
  assert(first.next(now));
  assert.equal(second.next(now), undefined);
  first.release();
  assert(second.next(now));
  second.release();
});

test("short requests of a user who floods are served by all workers", () => {
  const [first, second] = workers(2) as [Turns, Turns];
  const now = performance.now();
  first.charge(HONEST, now, CHEAP, 1);
  for (const turns of [first, second]) {
    for (let i = 0; i < 100; i++) turns.charge(GREEDY, now, 0.5, 1);
    assert(turns.mustWait(GREEDY, now));
    turns.add(client(GREEDY));
  }
  assert(first.next(now) && second.next(now));
});

test("a worker whose clients have waited for another one eventually gets its turn", () => {
  const [first, second] = workers(2) as [Turns, Turns];
  const now = performance.now();
  first.charge(HONEST, now, CHEAP, 1);
  for (const turns of [first, second]) {
    turns.charge(GREEDY, now, LONG, 1);
    for (let fd = 0; fd < 5; fd++) turns.add(client(GREEDY, fd));
  }
  assert(first.next(now));
  assert.equal(second.next(now), undefined);
  first.release();
  assert(first.next(now + 10), "the other one has not waited for long");
  first.release();
  assert.equal(first.next(now + 100), undefined);
  assert(second.next(now + 100));
  second.release();
});
