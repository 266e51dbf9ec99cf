// scripts/quickstart, on a copy of the files it needs: it works for any user and, however it ends, leaves nothing
// behind.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  utimesSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { after, before, it } from "node:test";
import { suite } from "../suite.ts";
import { isRoot, MUNGEBOX } from "../harness/programs.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const NOBODY = 65534;

suite("scripts/quickstart", { "the executable": existsSync(MUNGEBOX) }, () => {
  let copy: string;

  before(() => {
    copy = mkdtempSync("/tmp/quickstart-test-");
    chmodSync(copy, 0o755);
    for (const name of ["cli", "daemon", "lib", "scripts", "package-lock.json"]) {
      cpSync(join(ROOT, name), join(copy, name), { recursive: true });
    }
    mkdirSync(join(copy, "dist"));
    const binary = join(copy, "dist/mungebox");
    copyFileSync(MUNGEBOX, binary);
    const soon = Date.now() / 1000 + 60;
    utimesSync(binary, soon, soon); // newer than its sources
  });
  after(() => rmSync(copy, { recursive: true, force: true }));

  function start(user: { uid?: number; gid?: number } = {}) {
    // A shell makes background processes ignore SIGINT, and the tests' children inherit that.
    const child = spawn("env", ["--default-signal=INT", join(copy, "scripts/quickstart")], {
      cwd: "/",
      env: { PATH: process.env["PATH"], HOME: "/nonexistent" },
      stdio: ["ignore", "pipe", "pipe"],
      ...user,
    });
    let output = "";
    let realm: string | undefined;
    const take = (piece: Buffer) => {
      output += piece;
      realm ??= /runs in (\/tmp\/mungebox\.\w+),/.exec(output)?.[1];
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    const ended = new Promise<number | string | null>((done) =>
      child.once("close", (status, signal) => done(status ?? signal))
    );
    return { child, ended, output: () => output, realm: () => realm };
  }

  /** Neither the directory nor a process running a program of the copy. */
  function assertNothingLeft(realm: string | undefined): void {
    assert(realm !== undefined);
    assert(!existsSync(realm), `${realm} is still there`);
    const running = readdirSync("/proc").filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/exe`).startsWith(copy);
      } catch {
        return false; // not a process, or gone
      }
    });
    assert.deepEqual(running, []);
  }

  /** Interrupts it once munged is running. */
  async function interrupt(how: (child: ChildProcess) => void) {
    const run = start();
    while (run.realm() === undefined) {
      await new Promise((next) => run.child.stdout.once("data", next));
    }
    how(run.child);
    const status = await run.ended;
    assertNothingLeft(run.realm());
    return status;
  }

  const users = [["the user who tests", {}], ["nobody", { uid: NOBODY, gid: NOBODY }]] as const;
  for (const [name, user] of users) {
    it(
      `shows the two commands and a replay to ${name}`,
      { skip: "uid" in user && !isRoot },
      async () => {
        const { ended, output, realm } = start(user);
        assert.equal(await ended, 0, output());
        assert.equal(output().match(/^STATUS: +Success \(0\)$/gm)?.length, 3);
        assert.match(output(), /^LENGTH: +6\n\nhello$/m);
        assert.match(output(), /^STATUS: +Replayed credential \(17\)$/m);
        assert.match(output(), /^exit status 17$/m);
        assertNothingLeft(realm());
      },
    );
  }

  it("leaves nothing behind on Ctrl-C", async () => {
    assert.equal(await interrupt((child) => child.kill("SIGINT")), 130);
  });

  it("leaves nothing behind when terminated", async () => {
    assert.equal(await interrupt((child) => child.kill("SIGTERM")), 143);
  });

  it("leaves nothing behind when it fails because its output is closed", async () => {
    assert.notEqual(await interrupt((child) => child.stdout!.destroy()), 0);
  });
});
