// When the library polls for an answer instead of sleeping. What it gains is measured by scripts/bench --library.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Polling } from "../../../lib/client/polling.ts";

interface Clock {
  now: number;
}

/** How many of some requests are polled for if each answer takes so many milliseconds. */
async function polledFor(polling: Polling, requests: number, milliseconds: number, clock: Clock) {
  let count = 0;
  for (let i = 0; i < requests; i++) {
    polling.begin();
    if (polling.isPolling) count++;
    clock.now += milliseconds;
    polling.end();
    while (polling.isPolling) await turn();
  }
  return count;
}

test("Polling goes on until the answer has arrived, but only for a moment", async () => {
  const clock = { now: 0 };
  const polling = new Polling(2, () => clock.now);
  polling.begin();
  for (let i = 0; i < 10; i++) {
    await turn();
    assert.ok(polling.isPolling);
    clock.now += 0.005;
  }
  polling.end();
  await turn();
  await turn();
  assert.ok(!polling.isPolling);
  polling.begin();
  assert.ok(polling.isPolling, "the answer before came in time");
  clock.now += 0.2;
  await turn();
  await turn();
  assert.ok(!polling.isPolling);
});

test("Polling becomes rare while answers take longer, and resumes once they don't", async () => {
  const clock = { now: 0 };
  const polling = new Polling(2, () => clock.now);
  assert.equal(await polledFor(polling, 100, 0.03, clock), 100);
  assert.equal(await polledFor(polling, 1 + 2 + 4 + 8, 0.2, clock), 4);
  const seldom = await polledFor(polling, 100_000, 0.2, clock);
  assert.ok(seldom >= 95 && seldom <= 110, `${seldom} of 100000 requests`);
  const mixed = async (requests: number) => {
    let count = 0;
    for (let i = 0; i < requests; i++) {
      count += await polledFor(polling, 1, count % 4 === 0 ? 0.2 : 0.03, clock);
    }
    return count;
  };
  const few = await mixed(100_000);
  assert.ok(few < 1_000, `${few} of 100000 requests while every fourth answer takes longer`);
  await polledFor(polling, 10_000, 0.03, clock);
  assert.equal(await polledFor(polling, 100, 0.03, clock), 100);
});

test("Polling is never done with one processor, on which munged could not run meanwhile", async () => {
  const clock = { now: 0 };
  assert.equal(await polledFor(new Polling(1, () => clock.now), 100, 0.03, clock), 0);
});
