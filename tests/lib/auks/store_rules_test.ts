// Which credential stays, which is removed and which is due: the real daemon's decisions, and where ours differ.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  addOutcome,
  isExpired,
  isStale,
  type Lifetime,
  notDueReason,
} from "../../../lib/auks/store_rules.ts";
import { record } from "./arbitraries.ts";

const NOW = 1000;
const life = (endtime: number, renewTill: number, starttime = 0): Lifetime => ({
  starttime,
  endtime,
  renewTill,
});
const lifetime = record<Lifetime>({
  starttime: fc.nat(10),
  endtime: fc.nat(20),
  renewTill: fc.nat(20),
});

describe("addOutcome()", () => {
  test("decides the seven ADDs of the reference as the real daemon did", () => {
    // msg-add-which-is-better: end and renew_till relative to the clock, and what the real daemon did.
    let stored: Lifetime | undefined;
    for (
      const [endtime, renewTill, outcome] of [
        [3600, 7200, "stored"],
        [3600, 7200, "stored"],
        [1800, 7200, "kept"],
        [5400, 7200, "stored"],
        [1000, 9000, "stored"],
        [9000, 8999, "kept"],
        [9000, -NOW, "kept"],
      ] as const
    ) {
      const added = life(NOW + endtime, NOW + renewTill);
      assert.equal(addOutcome(stored, added, NOW), outcome, `${endtime} ${renewTill}`);
      if (outcome === "stored") stored = added;
    }
  });

  test("never lets an expired ticket block one that has not expired, whatever their renewal times", () => {
    const expired = life(NOW, NOW + 500);
    assert.equal(addOutcome(expired, life(NOW + 1, 0), NOW), "stored");
    assert.equal(addOutcome(life(NOW + 1, 0), expired, NOW), "kept");
    assert.equal(addOutcome(undefined, expired, NOW), "stored");
    assert.equal(addOutcome(expired, life(NOW, NOW + 501), NOW), "stored");
  });

  test("does not depend on the order", () => {
    fc.assert(fc.property(lifetime, lifetime, fc.nat(20), (a, b, now) => {
      const keeps = (stored: Lifetime, added: Lifetime) => {
        const kept = addOutcome(stored, added, now) === "stored" ? added : stored;
        return [kept.endtime, kept.renewTill];
      };
      assert.deepEqual(keeps(a, b), keeps(b, a));
    }));
  });

  test("stores the same ticket again", () => {
    fc.assert(fc.property(lifetime, fc.nat(20), (a, now) => {
      assert.equal(addOutcome(a, a, now), "stored");
    }));
  });
});

test("the cleaner removes what has expired, or was renewable but no longer is", () => {
  assert.equal(isStale(life(NOW, 0), NOW), false);
  assert.equal(isStale(life(NOW - 1, 0), NOW), true);
  assert.equal(isStale(life(NOW + 9, NOW), NOW), false);
  assert.equal(isStale(life(NOW + 9, NOW - 1), NOW), true);
  assert.equal(isExpired(life(NOW, 0), NOW), true);
  assert.equal(isExpired(life(NOW + 1, 0), NOW), false);
});

test("a ticket is due for renewal unless one of the original's reasons forbids it", () => {
  for (
    const [starttime, endtime, minLifeTime, expected] of [
      [500, 500, 300, "CRED_NOT_RENEWABLE"],
      [900, 1400, 600, "CRED_TOO_SHORT"],
      [900, 1500, 600, "CRED_TOO_SHORT"],
      // Too short comes before expired, as in the original.
      [100, 400, 600, "CRED_TOO_SHORT"],
      [100, 900, 600, "CRED_EXPIRED"],
      [100, 1000, 600, "CRED_EXPIRED"],
      [900, 1601, 600, "CRED_STILL_VALID"],
      [900, 1600, 600, undefined],
      [0, 1001, 600, undefined],
    ] as const
  ) {
    const found = notDueReason(life(endtime, 0, starttime), minLifeTime, NOW);
    assert.equal(found, expected, `${starttime} to ${endtime}`);
  }
});
