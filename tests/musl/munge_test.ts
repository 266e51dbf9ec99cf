// The executables for musl, where there is nothing but musl: an administrator's and a user's commands, musl's own look-up of
// users and groups, and credentials to and from the C MUNGE with glibc. memory_test.ts has how much memory they take.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ERRNO } from "../../lib/errors.ts";
import type { Daemon } from "../harness/daemon.ts";
import { hasReference, isRoot } from "../harness/programs.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { until } from "../harness/until.ts";
import { testFork } from "../project/fork.ts";
import { suite } from "../suite.ts";
import { type Architecture, GROUPS, MuslSystem, needed } from "./system.ts";

const SUCCESS = 0;
const { EMUNGE_CRED_REPLAYED, EMUNGE_CRED_UNAUTHORIZED } = ERRNO;

/** The executables, each with a number of credentials that takes seconds to make and decode; emulation is slow. */
const CREDENTIALS: Readonly<Record<Architecture, number>> = { x64: 5_000, arm64: 40 };

for (const architecture of ["x64", "arm64"] as const) {
  const needs = {
    "root": isRoot,
    "munge": hasReference,
    [needed(architecture).join(", ")]: needed(architecture).every((path) => existsSync(path)),
  };
  suite(`mungebox-linux-${architecture}-musl`, needs, () => testCommands(architecture));
}

function testCommands(architecture: Architecture) {
  let musl: MuslSystem;
  let realm: Realm;
  let reference: Munged;
  let munged: Daemon;

  before(async () => {
    musl = new MuslSystem(architecture);
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
    const words = [...musl.command(["munge", "-n"]), "|", ...musl.command(["unmunge"])];
    const { status, stdout, stderr } = spawnSync("sh", ["-c", words.join(" ")], {
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

  test("the leader of a daemon's session forks before the runtime starts", () => {
    testFork((args, env) => {
      const [command, ...words] = musl.command(args);
      return spawnSync(command!, words, { env: { ...process.env, ...env }, encoding: "utf8" });
    });
  });

  test("a credential is decoded once", () => {
    const input = musl.check(["munge", "--string=once"]);
    assert.match(musl.check(["unmunge"], { input }), /once$/);
    assert.equal(musl.run(["unmunge"], { input }).status, EMUNGE_CRED_REPLAYED);
  });

  const number = CREDENTIALS[architecture];
  test(`${number} credentials are made and decoded, and munged --status counts them`, () => {
    const [encoded, decoded] = [counted("ENCODE"), counted("DECODE")];
    musl.check(["remunge", `--num-creds=${number}`, "--decode", "--quiet"]);
    // At the end it may have more in flight, one for each of its threads.
    for (const more of [counted("ENCODE") - encoded, counted("DECODE") - decoded]) {
      assert(more >= number && more < number + 10, `${more}`);
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
    const update = async (group: string) => {
      musl.write("etc/group", `${GROUPS}\n${group}\n`);
      const updates = () =>
        munged.log().match(/Found \d+ users? with supplementary groups/g)?.length;
      const before = updates();
      munged.process.kill("SIGHUP");
      await until("the groups are read again", () => updates() !== before);
    };
    const decode = (user: "bob" | "carol") => {
      const input = musl.check(["munge", "-n", "--restrict-gid=77"], { user: "alice" });
      return musl.run(["unmunge"], { user, input }).status;
    };
    await update("solar:x:77:bob");
    assert.deepEqual([decode("bob"), decode("carol")], [SUCCESS, EMUNGE_CRED_UNAUTHORIZED]);
    await update("solar:x:77:bob,carol");
    assert.deepEqual([decode("bob"), decode("carol")], [SUCCESS, SUCCESS]);
  });

  test("mungebox doctor finds nothing wrong", () => {
    const { status, out, err } = musl.run(["mungebox", "doctor"]);
    assert.equal(status, 0, out + err);
    assert.match(out, /^ok +round trip +Made and opened a credential/m);
  });

  test("munged --stop ends it, and removes its socket", async () => {
    assert(existsSync(join(musl.root, "run/munge/munge.socket.2")));
    musl.check(["munged", "--stop"]);
    assert.equal(await munged.ended, 0);
    assert(!existsSync(join(musl.root, "run/munge/munge.socket.2")));
  });
}
