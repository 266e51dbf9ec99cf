// Spare memory: wiped, out of reach of those who had it before, and bounded.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SpareMemory } from "../../../lib/bytes/spare_memory.ts";

const MIB = 2 ** 20;
const memoryOf = (bytes: Uint8Array) => bytes.buffer as ArrayBuffer;

test("memory that was kept is used again, zeroed, and its former views are empty", () => {
  const spare = new SpareMemory(4 * MIB);
  const before = spare.take(MIB + 5).fill(0xaa);
  const inner = before.subarray(10, 20);
  const { byteLength } = before.buffer;
  assert(spare.keep(memoryOf(before)));
  assert.equal(before.length + inner.length, 0);
  const longer = spare.take(MIB + 100).fill(0xbb);
  assert.equal(longer.buffer.byteLength, byteLength);
  assert(spare.keep(memoryOf(longer)));
  const after = spare.take(MIB);
  assert.equal(after.length, MIB);
  assert(new Uint8Array(after.buffer).every((byte) => byte === 0));
});

test("memory is never shared, and never more than twice as long as needed", () => {
  const spare = new SpareMemory(8 * MIB);
  const [first, second] = [spare.take(MIB), spare.take(MIB)];
  assert.notEqual(first.buffer, second.buffer);
  assert(spare.keep(memoryOf(first)));
  assert(!spare.keep(memoryOf(first)), "kept twice");
  assert(spare.take(MIB / 2 - 65_536).buffer.byteLength < MIB);
  assert.notEqual(spare.take(MIB).buffer, spare.take(MIB).buffer);
});

test("memory from elsewhere, and very long memory, is not kept", () => {
  const spare = new SpareMemory(8 * MIB);
  assert(!spare.keep(new ArrayBuffer(MIB)));
  const long = spare.take(3 * MIB);
  assert.equal(long.length, 3 * MIB);
  assert(!spare.keep(memoryOf(long)));
  assert.equal(long.length, 3 * MIB);
});

test("no more than the limit is kept, and the latest takes precedence", () => {
  const spare = new SpareMemory(2 * MIB);
  const three = [MIB, MIB + 65_536, 2 * MIB - 65_536].map((length) => spare.take(length));
  for (const each of three) assert(spare.keep(memoryOf(each)));
  assert.equal(spare.size, 2 * MIB - 65_536);
  spare.drop();
  assert.equal(spare.size, 0);
});
