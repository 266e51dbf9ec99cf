// Users who flood munged with long requests of every kind cost it little memory besides what it may keep for clients.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { isRoot } from "../harness/programs.ts";
import { memoryOf, MIB } from "../harness/memory.ts";
import { Realm } from "../harness/realm.ts";
import { runProgram, Stallers } from "./load.ts";

const SECONDS = 8;
const LONG = ["--length=1048000", "--num-threads=16"];
/** The UID of each user and what it floods munged with, beside clients that stall or don't read their answers. */
const FLOODS = [
  [60_001, ...LONG],
  [60_001, "--num-threads=8"],
  [60_002, ...LONG, "--zip=zlib", "--decode"],
  [60_003, ...LONG, "--zip=bzlib"],
  [60_004, ...LONG, "--decode"],
] as const;
/**
 * Besides the 32 MiB that munged may keep for slow clients: requests in progress, code that was not used before, and what the
 * allocator has not given back. The more requests a machine serves, the more that is, so the margin is wide: an idle
 * machine of two processors took 106 MiB.
 */
const MOST = 140 * MIB;

describe("memory", { skip: process.platform !== "linux" && "needs /proc" }, () => {
  let realm: Realm;
  before(() => {
    realm = new Realm();
  });
  after(() => realm.close());

  test(`a mixed flood of four users takes at most ${MOST / MIB} MiB`, {
    skip: !isRoot && "needs root, to be several users",
  }, async () => {
    const munged = await realm.start("ours");
    const { pid } = munged.process;
    const idle = memoryOf(pid!, "VmRSS");
    const stallers = [
      new Stallers(munged.socket, 60),
      new Stallers(munged.socket, 60, "deaf"),
    ];
    for (const each of stallers) await each.start();
    const floods = FLOODS.map(([id, ...options]) =>
      runProgram(realm, "ours", "remunge", [
        `--socket=${munged.socket}`,
        `--duration=${SECONDS}`,
        ...options,
      ], { uid: id, gid: id })
    );
    const outputs = await Promise.all(floods);
    for (const each of stallers) await each.stop();
    const processed = outputs.map(({ out }) =>
      Number(/Processed (\d+) credentials/.exec(out)?.[1])
    );
    const taken = memoryOf(pid!, "VmHWM") - idle;
    console.log(
      `a flood took ${(taken / MIB).toFixed(0)} MiB over ${(idle / MIB).toFixed(0)}, ` +
        `${processed.join(", ")} requests of each kind`,
    );
    assert(processed.every((count) => count > 0), processed.join(" "));
    assert(taken <= MOST, `${taken / MIB} MiB`);
    await pause(3_000); // until the last clients are disconnected
    assert.equal(realm.run("ours", "munge", ["-n", `--socket=${munged.socket}`]).status, 0);
    assert.equal(await munged.stop(), 0);
  });
});
