// Which worker leaves connections to another.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createStandby, Standby } from "../../../../daemon/munged/serve/standby.ts";

const THREADS = 4;

test("a worker sees another one that takes connections, but not itself", () => {
  const shared = createStandby(THREADS);
  const workers = Array.from({ length: THREADS }, (_, i) => new Standby(shared, i + 1));
  for (const worker of workers) {
    assert(workers.every((other) => !other.isOtherAccepting()));
    worker.beginAccepting();
    assert(workers.every((other) => other.isOtherAccepting() === (other !== worker)));
    worker.endAccepting();
  }
});

test("if all workers stop at once, the last one to ask stays", () => {
  const shared = createStandby(THREADS);
  const workers = Array.from({ length: THREADS }, (_, i) => new Standby(shared, i + 1));
  for (const worker of workers) worker.beginAccepting();
  const answers = workers.map((worker) => {
    worker.endAccepting();
    return worker.isOtherAccepting();
  });
  assert.deepEqual(answers, [true, true, true, false]);
});

test("a dead worker is not waited for once its number is reused", () => {
  const shared = createStandby(THREADS);
  new Standby(shared, 2).beginAccepting();
  const other = new Standby(shared, 1);
  assert(other.isOtherAccepting());
  new Standby(shared, 2);
  assert(!other.isOtherAccepting());
});

test("a worker is known to serve a client from before it accepts until it has served it", () => {
  const shared = createStandby(THREADS);
  const [first, second] = [new Standby(shared, 1), new Standby(shared, 2)];
  second.step(); // it accepts, and serves from now on
  assert.deepEqual(second.servingNow(), [], "itself does not count");
  const [serving, ...rest] = first.servingNow();
  assert.deepEqual(rest, []);
  assert.equal(first.hasServed(serving!), false);
  second.step();
  assert.equal(first.hasServed(serving!), true);
  assert.deepEqual(first.servingNow(), []);
  second.step(); // another client
  assert.equal(first.hasServed(serving!), true);
});
