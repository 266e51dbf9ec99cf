// What requests leave behind in a worker is given back once there is much of it: freed, then purged twice by the allocator.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Leftovers } from "../../../../daemon/munged/serve/leftovers.ts";
import {
  keepSpareMemory,
  newBytes,
  release,
  spareMemorySize,
} from "../../../../lib/bytes/memory.ts";

const MIB = 1024 * 1024;

let received: number;
let leftovers: Leftovers;
beforeEach(() => {
  received = 0;
  leftovers = new Leftovers(() => received);
  keepSpareMemory(6 * MIB);
});
afterEach(() => keepSpareMemory(0));

/** Gives back in the three steps that it takes. */
function giveBack(): void {
  assert.equal(leftovers.idleTimeout, 100);
  leftovers.giveBack();
  assert.equal(leftovers.idleTimeout, 150, "what was freed is not purged yet");
  leftovers.giveBack();
  assert.equal(leftovers.idleTimeout, 12_000, "compiler threads may still have memory");
  leftovers.giveBack();
  assert.equal(leftovers.idleTimeout, Infinity);
}

test("small leftovers are left alone", () => {
  received = MIB;
  leftovers.accepted();
  release(newBytes(MIB / 2));
  assert.equal(leftovers.idleTimeout, Infinity);
  leftovers.giveBack();
  assert.equal(spareMemorySize(), MIB / 2);
});

test("what was received since the last time counts", () => {
  received = 3 * MIB;
  giveBack();
  received += 3 * MIB;
  giveBack();
});

test("many clients count, however little they send", () => {
  for (let i = 0; i < 5000; i++) leftovers.accepted();
  giveBack();
});

test("memory kept for the next request counts: clients may give up on answers long after the last one", () => {
  const answers = [newBytes(2 * MIB), newBytes(MIB)];
  received = 3 * MIB;
  giveBack();
  answers.forEach(release);
  assert.equal(spareMemorySize(), 3 * MIB);
  giveBack();
  assert.equal(spareMemorySize(), 0);
});

test("garbage is collected each time that much was received", (t) => {
  const collect = t.mock.method(Bun, "gc", () => {});
  const collections = () => collect.mock.callCount();
  received = 15 * MIB;
  leftovers.limitGarbage();
  assert.equal(collections(), 0);
  received = 17 * MIB;
  leftovers.limitGarbage();
  leftovers.limitGarbage();
  assert.equal(collections(), 1);
  received = 34 * MIB;
  leftovers.limitGarbage();
  assert.equal(collections(), 2);
});
