// Slots of a cluster, against the cluster specification's example and the tags that real servers compute.
import assert from "node:assert/strict";
import { test } from "node:test";
import { shardsIn, UnexpectedAnswer } from "../../../../daemon/munged/replay_store/topology.ts";
import { slotOf, tagIn } from "../../../../daemon/munged/replay_store/slots.ts";

test("slotOf() is CRC-16/XMODEM modulo 16384", () => {
  assert.equal(slotOf("123456789"), 0x31c3); // the specification's reference value
  assert.equal(slotOf(""), 0);
  assert.equal(slotOf("foo"), 12_182); // CLUSTER KEYSLOT foo
});

test("tagIn() finds a tag for any slot", () => {
  for (let slot = 0; slot < 16_384; slot += 97) {
    const tag = tagIn([[slot, slot]]);
    assert.equal(slotOf(tag.slice(1, -1)), slot);
  }
});

test("shardsIn() reads CLUSTER SLOTS, where a server may leave out its own address", () => {
  const asked = { host: "10.0.0.9", port: 1 };
  const answer = [
    [0, 10, ["10.0.0.1", 7000, "id"], ["10.0.0.2", 7000, "id"]],
    [11, 20, ["", 7001, "id"]],
    [21, 30, ["10.0.0.1", 7000, "id"]],
    [31, 40, [null, 7001, "id"]],
    [41, 50, ["?", 7002, "id"]],
  ];
  assert.deepEqual(shardsIn(answer, asked), [
    { address: { host: "10.0.0.1", port: 7000 }, ranges: [[0, 10], [21, 30]] },
    { address: { host: "10.0.0.9", port: 7001 }, ranges: [[11, 20], [31, 40]] },
  ]);
  for (const range of [[20_000, 20_001], [5, 4], [-1, 0], ["a", "b"], [null, null], [0, 16_384]]) {
    assert.throws(() => shardsIn([[...range, ["h", 1]]], asked), UnexpectedAnswer);
  }
  for (const strange of [[], null, "OK", [[]], [[0, 1]], [[0, 1, []]], [[0, 1, [2, 3]]]]) {
    assert.throws(() => shardsIn(strange, asked), /10.0.0.9:1: Its answer names no masters/);
  }
});
