// Which worker leaves connections to another.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { createStandby, Standby } from "../../../../daemon/munged/serve/standby.ts";

const THREADS = 4;

test("a worker sees another one that takes connections, but not itself", () => {
  const shared = createStandby(THREADS);
  const workers = Array.from({ length: THREADS }, (_, i) => new Standby(shared, i + 1));
  for (const worker of workers) {
    assert(workers.every((other) => !other.isOtherTaking()));
    worker.beginTaking();
    assert(workers.every((other) => other.isOtherTaking() === (other !== worker)));
    worker.endTaking();
  }
});

test("if all workers stop at once, the last one to ask stays", () => {
  const shared = createStandby(THREADS);
  const workers = Array.from({ length: THREADS }, (_, i) => new Standby(shared, i + 1));
  for (const worker of workers) worker.beginTaking();
  const answers = workers.map((worker) => {
    worker.endTaking();
    return worker.isOtherTaking();
  });
  assert.deepEqual(answers, [true, true, true, false]);
});

test("a dead worker is not waited for once its number is reused", () => {
  const shared = createStandby(THREADS);
  new Standby(shared, 2).beginTaking();
  const other = new Standby(shared, 1);
  assert(other.isOtherTaking());
  new Standby(shared, 2);
  assert(!other.isOtherTaking());
});

test("a retry waits for what other workers accepted before it, but not for their retries, and not forever", async () => {
  const shared = createStandby(THREADS);
  const [first, second, third] = [1, 2, 3].map((number) => new Standby(shared, number)) as [
    Standby,
    Standby,
    Standby,
  ];
  second.step(); // it accepts, and serves from now on
  assert.equal(second.settle(), true, "no other worker serves");
  first.step();
  assert.equal(second.settle(), false, "the first worker does not get on");

  // A thread that gets on after a while.
  const source = `
    const { shared } = require("node:worker_threads").workerData;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    Atomics.add(new Int32Array(shared), 16 + 1, 1);`;
  const thread = new Worker(source, { eval: true, workerData: { shared } });
  const begun = performance.now();
  while (!second.settle()) assert(performance.now() - begun < 5_000);
  await once(thread, "exit");
  assert.equal(second.settle(), true);

  // Two retries at a time don't wait for each other: one that waits is passed over.
  third.step();
  const words = new Int32Array(shared);
  words[3 * 16 + 2] = 1;
  assert.equal(second.settle(), true);
});
