// When the work that can wait is done.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Activity, createActivity } from "../../../daemon/munged/serve/activity.ts";
import { startTidying } from "../../../daemon/munged/tidying.ts";

const TIDY_MS = 5;
const TIMES = { settledMs: 1, requestMs: 1, tidyMs: TIDY_MS };
/** Long enough for several rounds. */
const ROUNDS_MS = 200;

/** Waits for this many rounds, and fails if more follow. */
async function made(count: number, rounds: () => number): Promise<void> {
  while (rounds() < count) await pause(1);
  await pause(ROUNDS_MS);
  assert.equal(rounds(), count);
}

test("chores are done after the start and after requests, but not while nothing happens", async () => {
  const worker = createActivity();
  const main = new Activity(worker);
  let rounds = 0;
  const stop = startTidying(() => main.next(), [() => (rounds++, Infinity)], TIMES);
  assert.equal(rounds, 0);
  await made(1, () => rounds);
  for (let i = 0; i < 3; i++) new Activity(worker).mark();
  assert.equal(rounds, 1);
  await made(2, () => rounds);
  new Activity(worker).mark();
  await made(3, () => rounds);
  new Activity(worker).mark();
  stop();
  await pause(ROUNDS_MS);
  assert.equal(rounds, 3);
});

test("chores with more to do are repeated when they are due, all together", async () => {
  const activity = new Activity(createActivity());
  const waits = [0, 2 * TIDY_MS, Infinity];
  let others = 0;
  const times: number[] = [];
  const chores = [
    () => {
      times.push(performance.now());
      return waits[times.length - 1] ?? Infinity;
    },
    () => (others++, Infinity),
  ];
  const stop = startTidying(() => activity.next(), chores, TIMES);
  await made(waits.length, () => times.length);
  assert.equal(others, waits.length);
  assert(times[1]! - times[0]! > TIDY_MS - 2, "no more often than after requests");
  assert(times[2]! - times[1]! > 2 * TIDY_MS - 2);
  stop();
});

test("after requests, chores are done at a limited rate", async () => {
  const activity = new Activity(createActivity());
  const times: number[] = [];
  const tidyMs = 1_000;
  const chore = () => {
    times.push(performance.now());
    return Infinity;
  };
  const stop = startTidying(() => activity.next(), [chore], {
    settledMs: 1,
    requestMs: 20,
    tidyMs,
  });
  await made(1, () => times.length);
  while (times.length < 4) {
    activity.mark();
    await pause(2);
  }
  stop();
  const gaps = times.slice(2).map((time, index) => time - times[index + 1]!);
  for (const gap of gaps) assert(gap > tidyMs - 2, String(gaps));
});

test("the round after the start does not count: the one after the first request is soon", async () => {
  const activity = new Activity(createActivity());
  let rounds = 0;
  const tidyMs = 60_000;
  const stop = startTidying(() => activity.next(), [() => (rounds++, Infinity)], {
    ...TIMES,
    tidyMs,
  });
  await made(1, () => rounds);
  const begun = performance.now();
  activity.mark();
  await made(2, () => rounds);
  assert(performance.now() - begun < tidyMs / 2);
  stop();
});

test("a request does not wait for chores that are due much later", async () => {
  const activity = new Activity(createActivity());
  let rounds = 0;
  const stop = startTidying(() => activity.next(), [() => (rounds++, 3_600_000)], TIMES);
  await made(1, () => rounds);
  activity.mark();
  await made(2, () => rounds);
  stop();
});
