// Whose turn it is: costly users wait for the others, and are served by one worker at a time while there are
// any others.
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

/** Workers that share their turns, and a clock of the test's own. */
function workers(count: number) {
  const shared = createTurns(count);
  return Array.from({ length: count }, (_, index) => new Turns(shared, index + 1));
}

test("requests that take no time to speak of never wait", () => {
  const [turns] = workers(1) as [Turns];
  for (let now = 0; now < 1000; now++) {
    for (const uid of [GREEDY, HONEST]) {
      assert.equal(turns.mustWait(uid, now), false);
      turns.charge(uid, now, CHEAP, true);
    }
  }
});

test("a user who is alone may use all of munged, however many requests it makes", () => {
  const [turns] = workers(1) as [Turns];
  for (let now = 0; now < 1000; now += 0.5) {
    assert.equal(turns.mustWait(GREEDY, now), false);
    turns.charge(GREEDY, now, 0.5, true);
  }
});

test("a user who floods waits once others are about, and no more when it has stopped", () => {
  const [turns] = workers(1) as [Turns];
  let now = 0;
  for (; now < 200; now += 0.5) turns.charge(GREEDY, now, 0.5, true);
  turns.charge(HONEST, now, CHEAP, true);
  assert.equal(turns.mustWait(GREEDY, now), true);
  assert.equal(turns.mustWait(HONEST, now), false);
  assert.equal(turns.mustWait(GREEDY, now + 1000), false);
});

test("the parts of a long request that are received don't make it look cheap", () => {
  const [turns] = workers(1) as [Turns];
  turns.charge(GREEDY, 0, LONG, true);
  for (let i = 0; i < 100; i++) turns.charge(GREEDY, 0, CHEAP, false);
  assert.equal(turns.mustWait(GREEDY, 5000), true);
});

test("of those who wait the user who has taken least comes first, each in order", () => {
  const [turns] = workers(1) as [Turns];
  const now = 10_000;
  turns.charge(GREEDY, now, LONG, true);
  turns.charge(OTHER, now, LONG / 2, true);
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

test("while others are about, one worker at a time serves a user who waits", () => {
  const [first, second] = workers(2) as [Turns, Turns];
  const now = performance.now();
  for (const turns of [first, second]) {
    turns.charge(GREEDY, now, LONG, true);
    turns.add(client(GREEDY));
  }
  assert(first.next(now));
  assert(second.next(now), "nobody else is about");
  first.release();
  second.release();

  for (const turns of [first, second]) turns.add(client(GREEDY));
  first.charge(HONEST, now, CHEAP, true);
  assert(first.next(now));
  assert.equal(second.next(now), undefined);
  first.release();
  assert(second.next(now));
  second.release();
});

test("a worker whose clients have waited for another one gets its turn in the end", () => {
  const [first, second] = workers(2) as [Turns, Turns];
  const now = performance.now();
  first.charge(HONEST, now, CHEAP, true);
  for (const turns of [first, second]) {
    turns.charge(GREEDY, now, LONG, true);
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
