// The files that munge and unmunge write: when a signal arrives while they wait for munged, and in directories where
// anyone may create files.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { isRoot } from "../harness/programs.ts";
import { type Munged, Realm } from "../harness/realm.ts";

const NOBODY = 65_534;

describe("outputs", () => {
  let realm: Realm;
  let munged: Munged;
  before(async () => {
    realm = new Realm();
    munged = await realm.start("ours");
  });
  after(() => realm.close());

  for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
    test(`${signal} to munge while munged stalls leaves the output unchanged, and no other file`, async () => {
      const directory = join(realm.directory, signal);
      mkdirSync(directory);
      writeFileSync(join(directory, "credential"), "old");
      munged.process.kill("SIGSTOP");
      try {
        for (const name of ["credential", "new"]) {
          const args = [`--socket=${munged.socket}`, "-n", "-o", join(directory, name)];
          const munge = spawn(realm.program("ours", "munge"), args, { stdio: "ignore" });
          await pause(500);
          assert.equal(munge.exitCode, null, "munge waits");
          munge.kill(signal);
          assert.deepEqual(await once(munge, "exit"), [null, signal]);
        }
      } finally {
        munged.process.kill("SIGCONT");
      }
      assert.deepEqual(readdirSync(directory), ["credential"]);
      assert.equal(readFileSync(join(directory, "credential"), "utf8"), "old");
    });
  }

  test("munge and unmunge do not replace a file that another user left in a sticky directory", {
    skip: !isRoot && "needs root, to make files of another user",
  }, () => {
    const directory = join(realm.directory, "sticky");
    mkdirSync(directory);
    chmodSync(directory, 0o1777);
    const socket = `--socket=${munged.socket}`;
    const munge = (path: string, as: number) =>
      realm.run("ours", "munge", [socket, "-n", "-o", path], { uid: as, gid: as });
    const planted = join(directory, "planted");
    writeFileSync(planted, "");
    chmodSync(planted, 0o666);
    chownSync(planted, NOBODY, NOBODY);
    for (const path of [planted, join(realm.directory, "link")]) {
      if (path !== planted) symlinkSync(planted, path);
      const { status, err } = munge(path, 0);
      assert.equal(err, `munge: Error: Failed to write to "${path}": Permission denied\n`);
      assert.equal(status, 1);
    }
    const { out: credential } = realm.run("ours", "munge", [socket, "-s", "secret"]);
    const opened = realm.run("ours", "unmunge", [socket, "-m", "-", "-o", planted], {
      input: credential,
    });
    assert.match(opened.err, /Failed to write to .*: Permission denied/);
    assert.equal(readFileSync(planted, "utf8"), "");
    assert.equal(lstatSync(planted).uid, NOBODY);

    // The user's own file, the directory owner's file, and a directory that only the user may write to.
    assert.equal(munge(planted, NOBODY).status, 0);
    const own = join(directory, "own");
    writeFileSync(own, "");
    assert.equal(munge(own, 0).status, 0);
    chownSync(directory, NOBODY, NOBODY);
    assert.equal(munge(planted, 0).status, 0);
    chownSync(directory, 0, 0);
    chmodSync(directory, 0o755);
    assert.equal(munge(planted, 0).status, 0);
    assert.deepEqual(readdirSync(directory).sort(), ["own", "planted"]);
  });
});
