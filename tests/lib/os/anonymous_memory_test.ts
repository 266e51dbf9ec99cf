import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { lastingMemory } from "../../../lib/os/anonymous_memory.ts";
import { ptr } from "../../../lib/os/libc.ts";

const LENGTH = 32 * 2 ** 20;

/** Memory of this process that belongs to no file, in bytes. */
function anonymous(): number {
  return Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))![1]) * 1024;
}

test("lasting memory is zeroed, has one address and takes only what is used of it", {
  skip: process.platform !== "linux" && "needs /proc",
}, () => {
  const before = anonymous();
  const bytes = new Uint8Array(lastingMemory(LENGTH));
  assert.equal(bytes.length, LENGTH);
  const address = ptr(bytes);
  assert(anonymous() - before < LENGTH / 2);
  Bun.gc(true);
  for (const at of [0, 4096, LENGTH - 1]) assert.equal(bytes[at], 0);
  bytes[LENGTH - 1] = 1;
  assert.equal(new Uint8Array(bytes.buffer)[LENGTH - 1], 1);
  assert.equal(ptr(bytes), address);
  bytes.fill(1);
  assert(anonymous() - before > LENGTH / 2);
});
