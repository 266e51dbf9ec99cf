// Which retries wait, for what, and for how long.
import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { afterEach, beforeEach, test } from "node:test";
import { createDescriptorTable, Descriptors } from "../../../../daemon/munged/serve/descriptors.ts";
import type { ParkedClient } from "../../../../daemon/munged/serve/parked.ts";
import { Retries } from "../../../../daemon/munged/serve/retries.ts";
import { createStandby, Standby } from "../../../../daemon/munged/serve/standby.ts";

const PID = 4711;
const MAX_WAIT_MS = 1_000;

/** The parts of a worker that retries depend on. */
interface Worker {
  readonly standby: Standby;
  readonly descriptors: Descriptors;
  readonly retries: Retries;
}

let first: Worker;
let second: Worker;
let opened: number[];

beforeEach(() => {
  const [table, shared] = [createDescriptorTable(), createStandby(2)];
  [first, second] = [1, 2].map((number) => {
    const standby = new Standby(shared, number);
    const descriptors = new Descriptors(table, number);
    return { standby, descriptors, retries: new Retries(standby, descriptors) };
  }) as [Worker, Worker];
  opened = [];
});
afterEach(() => opened.forEach((fd) => closeSync(fd)));

/** A client of a worker, which serves it now. */
function serve({ descriptors }: Worker, pid = PID): number {
  const fd = openSync("/dev/null", "r");
  opened.push(fd);
  descriptors.own(fd, pid);
  return fd;
}

/** Answers a client of a worker. */
function answer({ descriptors }: Worker, fd: number): void {
  descriptors.setIdle(fd, true);
}

/** A retry that a worker has read. */
function retryAt(worker: Worker): { readonly isInOrder: boolean; readonly fd: number } {
  const fd = serve(worker);
  const isInOrder = worker.retries.isInOrder(fd, PID);
  const client = { fd, peer: { pid: PID, uid: 0, gid: 0 } } as ParkedClient;
  if (!isInOrder) worker.retries.add({ client, retry: 1 }, 0);
  return { isInOrder, fd };
}

const takenAt = (now: number, { retries } = first) =>
  retries.take(now).map(({ client: { fd }, isInOrder }) => ({ fd, isInOrder }));

test("a retry does not wait if its process has nothing else, or only idle connections", () => {
  serve(second, PID + 1);
  answer(second, serve(second));
  answer(first, serve(first));
  assert.equal(retryAt(first).isInOrder, true);
  assert.equal(first.retries.hasWaiting, false);
});

test("a retry waits for what its process has sent before, at whichever worker", () => {
  for (const worker of [first, second]) {
    const earlier = serve(worker);
    const { isInOrder, fd } = retryAt(first);
    assert.equal(isInOrder, false);
    assert.deepEqual(takenAt(MAX_WAIT_MS - 1), []);
    const later = serve(worker);
    answer(worker, earlier);
    assert.deepEqual(takenAt(MAX_WAIT_MS - 1), [{ fd, isInOrder: true }]);
    assert.equal(first.retries.hasWaiting, false);
    answer(worker, later);
    answer(first, fd);
  }
});

test("a retry waits for a client that another worker has accepted and not identified", () => {
  second.standby.step();
  const { isInOrder, fd } = retryAt(first);
  assert.equal(isInOrder, false);
  assert.deepEqual(takenAt(0), []);
  const earlier = serve(second);
  second.standby.step(); // parked
  assert.deepEqual(takenAt(0), []);
  answer(second, earlier);
  assert.deepEqual(takenAt(0), [{ fd, isInOrder: true }]);
});

test("a retry does not wait for another one that is waiting", () => {
  const earlier = serve(second);
  const retries = [retryAt(first), retryAt(first)];
  const other = retryAt(second);
  answer(second, earlier);
  assert.deepEqual(takenAt(0, second), [{ fd: other.fd, isInOrder: true }]);
  assert.deepEqual(takenAt(0), retries.map(({ fd }) => ({ fd, isInOrder: true })));
});

test("a retry that has waited too long is taken as out of order", () => {
  serve(second);
  const { fd } = retryAt(first);
  assert.deepEqual(takenAt(MAX_WAIT_MS - 1), []);
  assert.deepEqual(takenAt(MAX_WAIT_MS), [{ fd, isInOrder: false }]);
});

test("no more retries wait than can be checked, nor for more requests than that", () => {
  const earlier = Array.from({ length: 300 }, () => serve(second));
  retryAt(first);
  earlier.forEach((fd) => answer(second, fd));
  assert.deepEqual(takenAt(MAX_WAIT_MS - 1), [], "some of the requests are not known");
  serve(second);
  while (first.retries.hasRoom) retryAt(first);
  assert.equal(takenAt(MAX_WAIT_MS).length, 256);
  assert.equal(first.retries.hasRoom, true);
});

test("a process that the kernel can't identify waits for nothing, as its retries are not believed", () => {
  serve(second, 0);
  assert.equal(first.retries.isInOrder(serve(first, 0), 0), true);
});
