import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { keepProgramSmall } from "../../../daemon/munged/program_memory.ts";

const TIDY_MS = 5;
/** Long enough for several looks, even on a busy machine. */
const LOOKS_MS = 200;

test("program code is given back after the start and after requests, but not while nothing happens", async () => {
  let requests = 0;
  let releases = 0;
  keepProgramSmall(() => requests, () => releases++, { settledMs: 1, tidyMs: TIDY_MS });
  assert.equal(releases, 0);
  await pause(LOOKS_MS);
  assert.equal(releases, 1);
  requests++;
  await pause(LOOKS_MS);
  assert.equal(releases, 2);
});
