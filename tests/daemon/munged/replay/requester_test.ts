// The hash of a requesting process.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  halfSipHash,
  NO_TAG,
  requesterTag,
  TAG_BITS,
} from "../../../../daemon/munged/replay/requester.ts";

test("halfSipHash() is HalfSipHash-2-4", () => {
  // The reference implementation's vectors.h: key 00..07, input 00..07, 4 bytes out: d0 b8 84 8f.
  const [k0, k1] = [0x0302_0100, 0x0706_0504];
  assert.equal(halfSipHash(k0, k1, k0, k1) >>> 0, 0x8f84_b8d0);
});

test("requesterTag() depends on process, user and key, and is never the tag of an unknown process", () => {
  const tags = new Set<number>();
  for (
    const [pid, uid, k0, k1] of [[1, 1, 1, 1], [2, 1, 1, 1], [1, 2, 1, 1], [1, 1, 2, 1], [
      1,
      1,
      1,
      2,
    ]]
  ) {
    tags.add(requesterTag({ pid: pid!, uid: uid! }, k0!, k1!));
  }
  assert.equal(tags.size, 5);
  for (let pid = 1; pid < 2 ** TAG_BITS * 4; pid += 3) {
    const tag = requesterTag({ pid, uid: 0 }, 5, 7);
    assert.ok(tag !== NO_TAG && tag < 2 ** TAG_BITS);
  }
  assert.equal(requesterTag({ pid: 0, uid: 0 }, 5, 7), NO_TAG);
});
