// The keys of a realm: their files, fingerprints and roles.
import assert from "node:assert/strict";
import { test } from "node:test";
import { primitives } from "../../../lib/primitives/library.ts";
import { composeRing, type FoundKey, keyFingerprint, keyPath } from "../../../lib/keys/ring.ts";
import { deriveSubkeys, type Subkeys } from "../../../lib/credential/subkeys.ts";

function subkeys(seed: number): Subkeys {
  return deriveSubkeys(new Uint8Array(32).fill(seed), primitives);
}

function found(role: FoundKey["role"], seed: number, since = 1000): FoundKey {
  return { role, subkeys: subkeys(seed), since };
}

function isWiped({ dek, mac }: Subkeys): boolean {
  return [...dek, ...mac].every((byte) => byte === 0);
}

test("keyPath() puts the other keys beside the active one", () => {
  assert.equal(keyPath("/k", "active"), "/k");
  assert.equal(keyPath("/k", "next"), "/k.next");
  assert.equal(keyPath("/k", "old"), "/k.old");
});

test("keyFingerprint() identifies a key and is not part of it", () => {
  const name = keyFingerprint(subkeys(1));
  assert.match(name, /^[0-9a-f]{16}$/);
  assert.equal(keyFingerprint(subkeys(1)), name);
  assert.notEqual(keyFingerprint(subkeys(2)), name);
  const { dek, mac } = subkeys(1);
  for (const secret of [dek, mac]) {
    assert.equal(Buffer.from(secret).toString("hex").includes(name), false);
  }
});

test("composeRing() puts the active key first, then next, then old", () => {
  const ring = composeRing([found("old", 3), found("next", 2), found("active", 1)], 1001, 60);
  assert.deepEqual(ring.map(({ role }) => role), ["active", "next", "old"]);
  assert.deepEqual(ring.map(({ expiry }) => expiry), [null, null, 1060]);
});

test("composeRing() wipes an old key that has expired", () => {
  const old = found("old", 3, 1000);
  assert.equal(composeRing([found("active", 1), old], 1059, 60).length, 2);
  assert.equal(composeRing([found("active", 1), old], 1060, 60).length, 1);
  assert(isWiped(old.subkeys));
});

test("composeRing() keeps an old key retired in the future no longer than one retired now", () => {
  const ring = composeRing([found("active", 1), found("old", 2, 9_999_999)], 1000, 60);
  assert.equal(ring[1]?.expiry, 1060);
});

test("composeRing() drops the copy left by an interrupted promotion", () => {
  const copy = found("old", 1);
  const ring = composeRing([found("active", 1), found("next", 2), copy], 1001, 60);
  assert.deepEqual(ring.map(({ role }) => role), ["active", "next"]);
  assert(isWiped(copy.subkeys));
  assert(!isWiped(ring[0]!.subkeys));
});
