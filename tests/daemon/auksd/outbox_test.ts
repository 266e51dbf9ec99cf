// A client's replies that its socket accepts in pieces.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Garbage } from "../../../daemon/auksd/garbage.ts";
import { Outbox } from "../../../daemon/auksd/outbox.ts";

/** An outbox whose socket accepts this many bytes at each call, and then none. */
function outboxOf(...accepts: number[]): { outbox: Outbox; written: number[] } {
  const written: number[] = [];
  const write = (bytes: Uint8Array) => {
    const count = Math.min(bytes.length, accepts.shift() ?? -1);
    written.push(...bytes.subarray(0, Math.max(0, count)));
    return count;
  };
  return { outbox: new Outbox(write, new Garbage()), written };
}

test("replies arrive whole and in order, and each is wiped once it is sent", () => {
  const replies = [Uint8Array.of(1, 2, 3), Uint8Array.of(4), Uint8Array.of(5, 6)];
  const sent: number[] = [];
  const { outbox, written } = outboxOf(2, 1, 1, -1, 2);
  replies.forEach((reply, at) => outbox.send(reply, () => sent.push(at)));
  assert.deepEqual([written, sent, outbox.bytes], [[1, 2], [], 6]);
  assert.equal(outbox.drain(), true);
  assert.deepEqual([written, sent, outbox.bytes], [[1, 2, 3, 4], [0, 1], 2]);
  assert.deepEqual(replies.map((reply) => [...reply]), [[0, 0, 0], [0], [5, 6]]);
  assert.equal(outbox.drain(), true);
  assert.deepEqual([written, sent, outbox.isEmpty], [[1, 2, 3, 4, 5, 6], [0, 1, 2], true]);
  assert.deepEqual([...replies[2]!], [0, 0]);
});

test("a socket that accepts nothing makes no progress", () => {
  const { outbox } = outboxOf(0, -1, 0);
  outbox.send(Uint8Array.of(7), undefined);
  assert.deepEqual([outbox.drain(), outbox.drain(), outbox.bytes], [false, false, 1]);
});

test("clear() wipes what was not sent, and tells those who wait", () => {
  const replies = [Uint8Array.of(1, 2), Uint8Array.of(3)];
  const { outbox } = outboxOf(1);
  let ended = 0;
  for (const reply of replies) outbox.send(reply, () => ended++);
  outbox.clear();
  assert.deepEqual(replies.map((reply) => [...reply]), [[0, 0], [0]]);
  assert.deepEqual([ended, outbox.isEmpty, outbox.bytes], [2, true, 0]);
});
