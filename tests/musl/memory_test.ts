// The memory of the executable for musl, beside that of the one for glibc.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { IDLE_MEMORY, memoryOf, MIB, settledMemory } from "../harness/memory.ts";
import { isRoot } from "../harness/programs.ts";
import { Realm } from "../harness/realm.ts";
import { until } from "../harness/until.ts";
import { suite } from "../suite.ts";
import { MuslSystem, needed } from "./system.ts";

/**
 * Up to this many times glibc's memory counts as equal: an idle munged has 27 MiB or 35, depending on whether the engine
 * collected garbage after the program's pages were released.
 */
const SLACK = 1.5;

/** The number of read(2) on x64, and its first argument. */
const READ_INPUT = "0 0x0 ";

const NEEDS = {
  "root": isRoot,
  "an x64 machine": process.arch === "x64",
  [needed("x64").join(", ")]: needed("x64").every((path) => existsSync(path)),
};

suite("memory with musl", NEEDS, () => {
  let musl: MuslSystem;
  let realm: Realm;

  before(() => {
    musl = new MuslSystem("x64");
    realm = new Realm();
    musl.write("etc/munge/munge.key", realm.key, 0o400);
  });
  after(async () => {
    await realm?.close();
    musl?.close();
  });

  test(`a client takes at most ${SLACK} times the memory that it takes with glibc`, async () => {
    const peak = async ([command, ...args]: readonly string[]) => {
      const client = spawn(command!, args, { stdio: ["pipe", "ignore", "inherit"] });
      const call = () => readFileSync(`/proc/${client.pid}/syscall`, "latin1");
      await until("it reads its input", () => call().startsWith(READ_INPUT));
      const bytes = memoryOf(client.pid!, "VmHWM");
      client.kill();
      await once(client, "exit");
      return bytes;
    };
    const ours = await peak(musl.command(["munge"]));
    const theirs = await peak([realm.program("ours", "munge")]);
    assert(ours <= SLACK * theirs, `${ours / MIB} MiB, ${theirs / MIB} MiB with glibc`);
  });

  for (const hasProc of [true, false]) {
    const where = hasProc ? "" : " without /proc";
    test(`an idle munged takes at most ${SLACK} times the memory of glibc's${where}`, async () => {
      const glibc = await realm.start("ours");
      const idle = await musl.startMunged({ hasProc });
      const theirs = await settledMemory(glibc.process.pid!);
      const most = Math.min(IDLE_MEMORY, SLACK * theirs);
      const ours = await settledMemory(idle.process.pid!, most);
      const figures = `${ours / MIB} MiB, ${theirs / MIB} MiB with glibc`;
      assert.equal(musl.run(["munge", "-n"]).status, 0);
      musl.check(["munged", "--stop"]);
      assert.equal(await idle.ended, 0);
      await glibc.stop();
      assert(ours <= most, figures);
    });
  }
});
