// Memory outside of the garbage collector's reach.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync, readSync } from "node:fs";
import { test } from "node:test";
import { permanentMemory } from "../../../lib/os/anonymous_memory.ts";
import { ptr } from "../../../lib/os/libc.ts";

const LENGTH = 32 * 2 ** 20;
const PAGE = Number(execFileSync("getconf", ["PAGESIZE"], { encoding: "utf8" }));

/** How many of these bytes take memory: pages that are present or swapped out, bits 63 and 62 in proc_pid_pagemap(5). */
function used(bytes: Uint8Array): number {
  const pages = new BigUint64Array(bytes.length / PAGE);
  const pagemap = openSync("/proc/self/pagemap", "r");
  readSync(pagemap, pages, 0, pages.byteLength, (ptr(bytes) / PAGE) * 8);
  closeSync(pagemap);
  return pages.reduce((sum, page) => sum + (page >> 62n === 0n ? 0 : PAGE), 0);
}

test("lasting memory is zeroed, has one address and takes only what is used of it", {
  skip: process.platform !== "linux" && "needs /proc",
}, () => {
  const bytes = new Uint8Array(permanentMemory(LENGTH));
  assert.equal(bytes.length, LENGTH);
  const address = ptr(bytes);
  assert(used(bytes) < LENGTH / 2);
  Bun.gc(true);
  for (const at of [0, 4096, LENGTH - 1]) assert.equal(bytes[at], 0);
  bytes[LENGTH - 1] = 1;
  assert.equal(new Uint8Array(bytes.buffer)[LENGTH - 1], 1);
  assert.equal(ptr(bytes), address);
  bytes.fill(1);
  assert.equal(used(bytes), LENGTH);
});
