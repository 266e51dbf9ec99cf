// Which process is at the other end of which descriptor, as far as retries need to know.
import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { acceptConnection, close, listenUnix } from "../../../../lib/os/socket.ts";
import {
  closeDescriptorsOf,
  createDescriptorTable,
  Descriptors,
} from "../../../../daemon/munged/serve/descriptors.ts";

const open = () => openSync("/dev/null", "r");

test("a process is alone when its other clients are answered, whichever worker serves them", () => {
  const table = createDescriptorTable();
  const [first, second] = [new Descriptors(table, 1), new Descriptors(table, 2)];
  const [current, other, own, stranger] = [open(), open(), open(), open()];
  first.own(current, 4711);
  second.own(stranger, 4712);
  assert.equal(first.isOnlyClientOf(4711), true);
  second.own(other, 4711);
  assert.equal(first.isOnlyClientOf(4711), false);
  assert.equal(second.isOnlyClientOf(4712), true);
  second.hangUp(other);
  assert.equal(first.isOnlyClientOf(4711), true);
  first.own(own, 4711);
  const times = [1, 2, 3].map(() => {
    const begun = performance.now();
    assert.equal(first.isOnlyClientOf(4711), false);
    return performance.now() - begun;
  });
  assert.ok(Math.min(...times) < 5, `its own clients are not waited for: ${times} ms`);
  first.hangUp(own);
  second.own(current, 4711);
  closeDescriptorsOf(table, 2);
  assert.equal(first.isOnlyClientOf(4711), true);
  assert.equal(first.isOnlyClientOf(0), false);
});

test("a kept connection counts only while a request of it is not answered", async () => {
  const folder = mkdtempSync("/tmp/munge-descriptors-");
  const path = join(folder, "socket");
  const listener = listenUnix(path, 1);
  const client = connect({ path });
  try {
    await once(client, "connect");
    const kept = acceptConnection(listener);
    const table = createDescriptorTable();
    const [first, second] = [new Descriptors(table, 1), new Descriptors(table, 2)];
    const current = open();
    first.own(current, 4711);
    second.own(kept, 4711);
    assert.equal(first.isOnlyClientOf(4711), false, "it is being served");
    second.setIdle(kept, true);
    assert.equal(first.isOnlyClientOf(4711), true, "it is idle");
    await new Promise<void>((resolve) => client.write("x", () => resolve()));
    assert.equal(first.isOnlyClientOf(4711), false, "a request waits to be read");
    second.setIdle(kept, false);
    assert.equal(first.isOnlyClientOf(4711), false, "it is being answered");
    second.hangUp(kept);
    assert.equal(first.isOnlyClientOf(4711), true);
    second.own(kept, 4711);
    assert.equal(
      first.isOnlyClientOf(4711),
      false,
      "the next client with its descriptor is not idle",
    );
    first.hangUp(current);
  } finally {
    client.destroy();
    close(listener);
    rmSync(folder, { recursive: true });
  }
});

test("a client that another worker answers in a moment is waited for", async () => {
  const table = createDescriptorTable();
  const [first, second] = [new Descriptors(table, 1), new Descriptors(table, 2)];
  const [current, other] = [open(), open()];
  first.own(current, 4711);
  second.own(other, 4711);
  const source = `
    const { table, other } = require("node:worker_threads").workerData;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    new Uint32Array(table)[65536 + other] = 0;`;
  new Worker(source, { eval: true, workerData: { table, other } });
  const begun = performance.now();
  while (!first.isOnlyClientOf(4711)) {
    assert.ok(performance.now() - begun < 5_000);
    await pause(1);
  }
  closeSync(current);
  closeSync(other);
});
