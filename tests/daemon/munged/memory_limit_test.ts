// How much memory munged needs, and how it fits within a limit; tests/packaging/podman_test.ts runs it under one.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  chooseThreads,
  memoryWarning,
  neededMemory,
  parkedBytes,
} from "../../../daemon/munged/memory_limit.ts";
import { MAX_PAYLOAD_LENGTH } from "../../../lib/credential/fields.ts";

const MIB = 1024 * 1024;

test("docs/container.md says how much each number of threads needs", () => {
  const page = readFileSync("docs/container.md", "utf8");
  const cells = (name: string) =>
    page.split("\n").find((line) => line.startsWith(`| ${name} `))!.split("|").slice(2, -1);
  const needs = cells("`--num-threads`").map((threads) =>
    `${neededMemory(Number(threads), MAX_PAYLOAD_LENGTH) / MIB} MiB`
  );
  assert.deepEqual(cells("`--memory` at least").map((cell) => cell.trim()), needs);
});

test("the chosen number of threads fits this machine, and a warning reports one that does not", () => {
  const { threads } = chooseThreads(MAX_PAYLOAD_LENGTH);
  assert(threads >= 1 && threads <= 4);
  assert.equal(memoryWarning(threads, MAX_PAYLOAD_LENGTH), null);
  assert.match(
    memoryWarning(1_000_000, MAX_PAYLOAD_LENGTH)!,
    /^The kernel may kill munged: 1000000 threads can take 12000046 MiB of memory/,
  );
});

test("munged keeps less for clients where memory is short", () => {
  assert.equal(parkedBytes(1, MAX_PAYLOAD_LENGTH), 12 * MIB);
  assert.equal(parkedBytes(1_000_000, MAX_PAYLOAD_LENGTH), 0);
});
