// The fuzzer itself: it finds planted bugs, the same ones for the same seed, and reports memory growth.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mutate, Random } from "./mutate.ts";
import { Finding, runCase, runTarget, type Target } from "./target.ts";
import { TARGETS } from "./targets.ts";

const CORPUS = [Uint8Array.of(0, 0, 0, 2, 65, 66), Uint8Array.of(0, 0, 0, 0)];

/** Reads a length and that many bytes; `flaw` is what it does if the length is too large. */
function planted(flaw: () => void): Target {
  return {
    name: "planted",
    corpus: () => CORPUS,
    read: (bytes) => {
      if (bytes.length < 4) throw new RangeError("cut off");
      if (new DataView(bytes.buffer).getUint32(0) > bytes.length - 4) flaw();
    },
    isRefusal: (error) => error instanceof RangeError,
  };
}

const until = (most: number) => (runs: number) => runs >= most;

async function findingOf(target: Target, seed: number): Promise<Finding> {
  try {
    await runTarget(target, seed, until(10_000));
  } catch (error) {
    if (error instanceof Finding) return error;
    throw error;
  }
  assert.fail("nothing was found");
}

test("an error that is not a refusal is found, the same one for the same seed", async () => {
  const target = planted(() => assert.fail("out of bounds"));
  const finding = await findingOf(target, 1);
  assert.match(finding.message, /out of bounds/);
  assert.deepEqual((await findingOf(target, 1)).bytes, finding.bytes);
  assert.throws(() => runCase(target, finding.bytes), Finding);
});

test("clean refusals are counted, and nothing is found", async () => {
  const target = planted(() => {
    throw new RangeError("too long");
  });
  const { runs, refused } = await runTarget(target, 1, until(3000));
  assert.equal(runs, 3000);
  assert(refused > 300 && refused < 2700, `${refused}`);
});

test("memory kept for each input shows as growth", async () => {
  const kept: unknown[] = [];
  const leak: Target = {
    ...planted(() => {}),
    read: () => void kept.push(Array.from({ length: 200 }, (_, i) => `${i}`)),
  };
  assert((await runTarget(leak, 1, until(6000))).growth > 4_000_000);
  assert.equal(kept.length > 6000, true);
});

test("a corpus that is refused is a finding", async () => {
  const target = { ...planted(() => {}), corpus: () => [new Uint8Array(3)] };
  assert.match((await findingOf(target, 1)).message, /one of the corpus is refused/);
});

test("damage leaves the corpus unchanged, and different seeds do different damage", () => {
  const before = CORPUS.map((bytes) => bytes.slice());
  const damaged = (seed: number) => {
    const random = new Random(seed);
    return Array.from({ length: 200 }, () => mutate(CORPUS, random, ["token"]));
  };
  const first = damaged(1);
  assert.deepEqual(CORPUS, before);
  assert.deepEqual(damaged(1), first);
  assert.notDeepEqual(damaged(2), first);
  assert(first.some((bytes) => Buffer.from(bytes).includes("token")));
});

for (const target of TARGETS) {
  test(`${target.name}: 500 damaged inputs`, async () => {
    const { refused } = await runTarget(target, 20261126, until(500));
    assert(refused > 0 && refused < 500, `${refused}`);
  });
}
