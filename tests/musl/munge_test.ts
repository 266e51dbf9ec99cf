// The executable for musl, where there is nothing but musl: an administrator's and a user's commands, musl's own look-up of
// users and groups, credentials to and from the C MUNGE with glibc, and memory beside that of the executable for glibc.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ERRNO } from "../../lib/errors.ts";
import type { Daemon } from "../harness/daemon.ts";
import { IDLE_MEMORY, memoryOf, MIB, SETTLED_MS } from "../harness/memory.ts";
import { hasReference, isRoot } from "../harness/programs.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { suite } from "../suite.ts";
import { GROUPS, MuslSystem } from "./system.ts";

const { EMUNGE_CRED_REPLAYED, EMUNGE_CRED_UNAUTHORIZED } = ERRNO;
const CREDENTIALS = 5_000;
/**
 * How much more than with glibc is no difference: an idle munged has 27 MiB or 35, depending on whether the engine collected
 * garbage after the program's pages were released.
 */
const SLACK = 1.5;

const NEEDS = {
  "root": isRoot,
  "an x64 machine": process.arch === "x64",
  "munge": hasReference,
  "musl-tools, gcc-12-source, g++ and make": existsSync("/usr/bin/musl-gcc") &&
    existsSync("/usr/src/gcc-12") && existsSync("/usr/bin/g++") && existsSync("/usr/bin/make"),
};

suite("mungebox-linux-x64-musl", NEEDS, () => {
  let musl: MuslSystem;
  let realm: Realm;
  let reference: Munged;
  let munged: Daemon;

  before(async () => {
    musl = new MuslSystem();
    realm = new Realm();
    reference = await realm.start("reference");
    musl.write("etc/munge/munge.key", realm.key, 0o400);
    munged = await musl.startMunged({ hasProc: true });
  });
  after(async () => {
    await realm?.close();
    munged?.process.kill();
    await munged?.ended;
    musl?.close();
  });

  /** A counter of `munged --status`. */
  const counted = (name: "ENCODE" | "DECODE") =>
    Number(
      new RegExp(`^${name}: +(\\d+) success`, "m").exec(musl.check(["munged", "--status"]))?.[1],
    );

  test("munge -n | unmunge", () => {
    const pipe = 'chroot "$0" /usr/bin/munge -n | chroot "$0" /usr/bin/unmunge';
    const { status, stdout, stderr } = spawnSync("sh", ["-c", pipe, musl.root], {
      encoding: "utf8",
    });
    assert.equal(stderr, "");
    assert.equal(status, 0);
    assert.match(stdout, /^STATUS: +Success \(0\)$/m);
    assert.match(stdout, /^UID: +root \(0\)$/m);
  });

  test("munge -V prints the same version as with glibc", () => {
    assert.equal(musl.check(["munge", "-V"]), realm.run("ours", "munge", ["-V"]).out);
  });

  test("a credential is decoded once", () => {
    const input = musl.check(["munge", "--string=once"]);
    assert.match(musl.check(["unmunge"], { input }), /once$/);
    assert.equal(musl.run(["unmunge"], { input }).status, EMUNGE_CRED_REPLAYED);
  });

  test("5,000 credentials are made and decoded, and munged --status counts them", () => {
    const [encoded, decoded] = [counted("ENCODE"), counted("DECODE")];
    musl.check(["remunge", `--num-creds=${CREDENTIALS}`, "--decode", "--quiet"]);
    // At the end it may have more in flight, one for each of its threads.
    for (const more of [counted("ENCODE") - encoded, counted("DECODE") - decoded]) {
      assert(more >= CREDENTIALS && more < CREDENTIALS + 10, `${more}`);
    }
  });

  for (
    const options of [
      ["--cipher=none", "--zip=none"],
      ["--cipher=aes128", "--mac=sha256"],
      ["--cipher=aes256", "--mac=sha512", "--zip=zlib"],
      ["--cipher=blowfish", "--mac=sha1", "--zip=bzlib"],
      ["--cipher=cast5", "--mac=ripemd160"],
    ]
  ) {
    test(`munge ${options.join(" ")} here and unmunge with the C MUNGE, and back`, () => {
      const payload = "across the line ".repeat(20);
      const ours = musl.check(["munge", ...options], { input: payload });
      const socket = `--socket=${reference.socket}`;
      const there = realm.run("reference", "unmunge", [socket], { input: Buffer.from(ours) });
      assert.equal(there.status, 0, there.err);
      assert(there.out.endsWith(`\n\n${payload}`), there.out);

      const theirs = realm.run("reference", "munge", [socket, ...options], {
        input: Buffer.from(payload),
      });
      assert.equal(theirs.status, 0, theirs.err);
      assert(musl.check(["unmunge"], { input: theirs.out }).endsWith(`\n\n${payload}`));
    });
  }

  test("users and groups are those of musl's /etc/passwd and /etc/group", () => {
    const credential = () =>
      musl.check(["munge", "-n", "--restrict-uid=bob", "--restrict-gid=bob"], { user: "alice" });
    const opened = musl.check(["unmunge"], { user: "bob", input: credential() });
    assert.match(opened, /^UID: +alice \(1234\)$/m);
    assert.match(opened, /^GID: +alice \(1234\)$/m);
    assert.match(opened, /^UID_RESTRICTION: +bob \(1235\)$/m);
    assert.match(opened, /^GID_RESTRICTION: +bob \(1235\)$/m);
    const refused = musl.run(["unmunge"], { user: "carol", input: credential() });
    assert.equal(refused.status, EMUNGE_CRED_UNAUTHORIZED);
  });

  test("after SIGHUP, munged knows new members of a group", async () => {
    musl.write("etc/group", `${GROUPS}\nsolar:x:77:bob\n`);
    const status = (user: "bob" | "carol") => {
      const input = musl.check(["munge", "-n", "--restrict-gid=77"], { user: "alice" });
      return musl.run(["unmunge"], { user, input }).status;
    };
    for (let updates = 1;; updates++) {
      munged.process.kill("SIGHUP");
      const found = /Found \d+ users? with supplementary groups/g;
      for (let waited = 0; [...munged.log().matchAll(found)].length <= updates; waited += 20) {
        assert(waited < 10_000, munged.log());
        await pause(20);
      }
      assert.deepEqual([status("bob"), status("carol")], [
        0,
        updates === 1 ? EMUNGE_CRED_UNAUTHORIZED : 0,
      ]);
      if (updates === 2) break;
      musl.write("etc/group", `${GROUPS}\nsolar:x:77:bob,carol\n`);
    }
  });

  test("mungebox doctor finds nothing wrong", () => {
    const { status, out, err } = musl.run(["mungebox", "doctor"]);
    assert.equal(status, 0, out + err);
    assert.match(out, /^ok +round trip +Made and opened a credential/m);
  });

  test(`a client takes at most ${SLACK} times the memory that it takes with glibc`, async () => {
    const options = ["munge", "--output=/dev/null"];
    const glibc = realm.program("ours", "mungebox");
    const [ours, theirs] = await Promise.all([
      musl.command(options),
      [glibc, ...options, `--socket=${reference.socket}`],
    ].map(async ([command, ...args]) => {
      const client = spawn(command!, args, { stdio: ["pipe", "ignore", "inherit"] });
      await pause(1_000); // by then it is waiting for input
      const peak = memoryOf(client.pid!, "VmHWM");
      client.stdin.end();
      assert.deepEqual(await once(client, "exit"), [0, null]);
      return peak;
    }));
    assert(ours! <= SLACK * theirs!, `${ours! / MIB} MiB, ${theirs! / MIB} MiB with glibc`);
  });

  test("munged --stop ends it, and removes its socket", async () => {
    assert(existsSync(join(musl.root, "run/munge/munge.socket.2")));
    musl.check(["munged", "--stop"]);
    assert.equal(await munged.ended, 0);
    assert(!existsSync(join(musl.root, "run/munge/munge.socket.2")));
  });

  for (const hasProc of [true, false]) {
    const where = hasProc ? "" : " without /proc";
    test(`an idle munged takes at most ${SLACK} times the memory of glibc's${where}`, async () => {
      const glibc = await realm.start("ours");
      const idle = await musl.startMunged({ hasProc });
      await pause(SETTLED_MS);
      const ours = memoryOf(idle.process.pid!, "VmRSS");
      const theirs = memoryOf(glibc.process.pid!, "VmRSS");
      const figures = `${ours / MIB} MiB, ${theirs / MIB} MiB with glibc`;
      assert.equal(musl.run(["munge", "-n"]).status, 0);
      musl.check(["munged", "--stop"]);
      assert.equal(await idle.ended, 0);
      await glibc.stop();
      assert(ours <= IDLE_MEMORY && ours <= SLACK * theirs, figures);
    });
  }
});
