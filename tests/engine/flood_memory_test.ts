// Users who flood munged with long requests of every kind cost it little memory besides what it may keep for clients.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { isRoot } from "../harness/programs.ts";
import { memoryOf, MIB, SETTLED_MS, settledMemory } from "../harness/memory.ts";
import { Realm } from "../harness/realm.ts";
import { leastOf, runProgram, Stallers } from "./load.ts";

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
 * Over an idle munged that has answered such requests before. Its own memory (RssAnon): the 12 MiB that it may keep for slow
 * clients, 12 for requests in progress, and garbage up to the next collection, in all about 50 on two processors. Pages of
 * the executable's file (RssFile) are shared with every other program and belong to the system's cache.
 */
const MOST = { RssAnon: 64 * MIB, RssFile: 48 * MIB } as const;
type Kind = keyof typeof MOST;
/** How much more of its own memory munged may keep afterwards, mostly for compiled code, than before its first request. */
const MOST_USED = 48 * MIB;

const KINDS = Object.keys(MOST) as Kind[];
const SAMPLE_MS = 20;

function memory(pid: number): Record<Kind, number> {
  return { RssAnon: memoryOf(pid, "RssAnon"), RssFile: memoryOf(pid, "RssFile") };
}

describe("memory", { skip: process.platform !== "linux" && "needs /proc" }, () => {
  let realm: Realm;
  before(() => {
    realm = new Realm();
  });
  after(() => realm.close());

  test(`a mixed flood of four users takes at most ${MOST.RssAnon / MIB} MiB`, {
    skip: !isRoot && "needs root, to be several users",
  }, async () => {
    const munged = await realm.start("ours");
    const { pid } = munged.process;
    await settledMemory(pid!);
    const fresh = memory(pid!);
    const flood = async ([id, ...options]: readonly [number, ...string[]], ...limits: string[]) => {
      const words = [`--socket=${munged.socket}`, ...options, ...limits];
      const { out } = await runProgram(realm, "ours", "remunge", words, { uid: id, gid: id });
      return Number(/Processed (\d+) credentials/.exec(out)?.[1]);
    };
    for (const each of FLOODS) await flood(each, "--num-threads=2", "--num-creds=40");
    await pause(SETTLED_MS);
    const idle = memory(pid!);
    let used = 0;
    await leastOf({ most: MOST.RssAnon / MIB, tries: 3 }, async () => {
      const peak = { ...idle };
      const watch = setInterval(() => {
        const now = memory(pid!);
        for (const kind of KINDS) peak[kind] = Math.max(peak[kind], now[kind]);
      }, SAMPLE_MS);
      const stallers = [
        new Stallers(munged.socket, 60),
        new Stallers(munged.socket, 60, "deaf"),
      ];
      for (const each of stallers) await each.start();
      const processed = await Promise.all(
        FLOODS.map((each) => flood(each, `--duration=${SECONDS}`)),
      );
      for (const each of stallers) await each.stop();
      await pause(3_000); // until the last clients are disconnected
      clearInterval(watch);
      used = memory(pid!).RssAnon - fresh.RssAnon;
      const taken = { RssAnon: peak.RssAnon - idle.RssAnon, RssFile: peak.RssFile - idle.RssFile };
      const texts = KINDS.map((kind) => `${kind} ${Math.round(taken[kind] / MIB)}`);
      console.log(
        `a flood took ${texts.join(", ")} MiB more than ${Math.round(idle.RssAnon / MIB)} when ` +
          `idle, and ${Math.round(fresh.RssAnon / MIB)} before any request; afterwards ` +
          `${Math.round(used / MIB)} more; ${processed.join(", ")} requests of each kind`,
      );
      assert(processed.every((count) => count > 0), processed.join(" "));
      assert(taken.RssFile <= MOST.RssFile, `${taken.RssFile / MIB} MiB of files`);
      return taken.RssAnon / MIB;
    });
    assert(used <= MOST_USED, `${used / MIB} MiB afterwards`);
    assert.equal(realm.run("ours", "munge", ["-n", `--socket=${munged.socket}`]).status, 0);
    assert.equal(await munged.stop(), 0);
  });
});
