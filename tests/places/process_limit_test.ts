// A user whose other processes have used up `ulimit -u`: the commands work as the C programs do, and a daemon says in one
// line what it lacks. Limits that leave too little by themselves are in limits_test.ts.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, it } from "node:test";
import { isRunning, processesOf, startDaemon } from "../harness/daemon.ts";
import { hasReference, isRoot, type Make } from "../harness/programs.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { until } from "../harness/until.ts";
import { suite } from "../suite.ts";

/** A user without other processes, not even those of another run of these tests. */
const UID = 2_000_000 + process.pid;
/** How many other processes the user has. */
const OTHERS = 10;
/** How many more may be started, beside the program itself. */
const LEFT = [0, 1, 2, 3, 4, 5, 8, 12, 16, 20, 30];
/** What munged needs with 2 threads, in addition to its own process. */
const NEEDED = 17;

suite("a user's used-up processes", { root: isRoot }, () => {
  let realm: Realm;
  let munged: Munged;
  let directory: string;
  let others: ChildProcess;

  before(async () => {
    realm = new Realm();
    munged = await realm.start("ours");
    directory = join(realm.directory, "used-up");
    mkdirSync(directory);
    chmodSync(directory, 0o711);
    copyFileSync(join(realm.directory, "key"), join(directory, "key-file"));
    writeFileSync(join(directory, "empty"), "");
    writeFileSync(join(directory, "long"), randomBytes(750_000)); // so that garbage is collected
    for (const name of [".", "key-file"]) chownSync(join(directory, name), UID, UID);
    const sleepers = `for i in {2..${OTHERS}}; do sleep 1000 & done; echo ready; wait`;
    others = spawn("setpriv", [...asUser, "bash", "-c", sleepers], {
      stdio: ["ignore", "pipe", "inherit"],
      detached: true, // a group of its own, to be ended as a whole
    });
    await new Promise((resolve) => others.stdout!.once("data", resolve));
  });
  after(() => {
    if (others !== undefined) process.kill(-others.pid!, "SIGKILL");
    realm?.close();
  });

  // What an earlier test has started counts until it has ended and its parent knows.
  beforeEach(() => until("the user's other processes are gone", () => processesOf(UID) === OTHERS));

  const asUser = [`--reuid=${UID}`, `--regid=${UID}`, "--clear-groups"];

  /** Runs a command of the user who may start only `left` more processes and threads. */
  function run(left: number, command: readonly string[]) {
    const limited = `ulimit -c 0 -u ${OTHERS + 1 + left} && exec "$@"`;
    const args = [...asUser, "bash", "-c", limited, "sh", ...command];
    const { status, stdout, stderr } = spawnSync("setpriv", args, {
      encoding: "latin1",
      timeout: 300_000,
      stdio: [
        "ignore",
        "pipe",
        "pipe",
      ],
    });
    return { status, out: stdout, err: stderr };
  }

  /** What clients are asked to do, with a file of this name to write to. */
  function clients(make: Make, file: string): string[][] {
    const socket = `--socket=${munged.socket}`;
    const [munge, unmunge] = [realm.program(make, "munge"), realm.program(make, "unmunge")];
    const decode = (name: string) => [
      unmunge,
      `--input=${join(directory, name)}`,
      "--output=/dev/null",
      socket,
    ];
    return [
      [munge, "--no-input", socket],
      [munge, `--input=${join(directory, "empty")}`, socket],
      [munge, `--input=${join(directory, "long")}`, "--output=/dev/null", socket],
      decode("credential"),
      decode("long-credential"),
      [realm.program(make, "mungekey"), "--create", "--force", `--keyfile=${file}`],
      [realm.program(make, "munge"), "--version"],
    ];
  }

  function makeCredentials(): void {
    const inputs = { credential: "/dev/null", "long-credential": join(directory, "long") };
    for (const [name, input] of Object.entries(inputs)) {
      const args = [`--input=${input}`, `--socket=${munged.socket}`];
      const { status, out } = realm.run("ours", "munge", args);
      assert.equal(status, 0);
      writeFileSync(join(directory, name), out);
    }
  }

  for (const left of LEFT) {
    it(`clients with ${left} left`, () => {
      makeCredentials();
      for (const command of clients("ours", join(directory, "ours.key"))) {
        const { status, err } = run(left, command);
        assert.deepEqual(
          { status: status === 17 ? 0 : status, err },
          { status: 0, err: "" },
          command.join(" "),
        );
      }
    });
  }

  it("the C clients with none left", { skip: !hasReference && "needs munge" }, () => {
    makeCredentials();
    for (const command of clients("reference", join(directory, "reference.key"))) {
      assert.equal(run(0, command).status, 0, command.join(" "));
    }
  });

  it("remunge works with one thread, and without it fails as the C one does", () => {
    const args = ["--num-creds=2", `--socket=${munged.socket}`];
    const { status, err } = run(0, [realm.program("ours", "remunge"), ...args]);
    assert.equal(status, 1);
    assert.equal(err, "remunge: Error: Failed to spawn worker thread\n");
    assert.equal(run(1, [realm.program("ours", "remunge"), ...args]).status, 0);
    if (!hasReference) return;
    assert.equal(run(0, [realm.program("reference", "remunge"), ...args]).status, 1);
  });

  for (const left of LEFT.slice(0, 3)) {
    it(`a daemon's program that starts no daemon, with ${left} left`, () => {
      const free = `--socket=${join(directory, "nothing")}`;
      for (
        const [program, ...args] of [
          ["munged", "--version"],
          ["munged", "-V"],
          ["munged", "--help"],
          ["munged", "--license"],
          ["munged", "--check-config"],
          ["munged", `--socket=${munged.socket}`, "--status"],
          ["munged", free, "--stop"],
          ["munged", free, "-sv"],
          ["mungebox", "auksd", "-h"],
        ] as const
      ) {
        const command = [realm.program("ours", program!), ...args];
        assert.deepEqual(run(left, command), run(1_000, command), command.join(" "));
      }
    });
  }

  for (const left of LEFT) {
    it(`every other command with ${left} left, in one line if it fails`, () => {
      for (
        const [program, ...args] of [
          ["mungebox", "auksdrenewer", "-h"],
          ["mungebox", "aukspriv", "-h"],
          ["mungebox", "auks", "-h"],
          ["mungebox", "--help"],
          ["mungebox", "health", `--socket=${munged.socket}`],
        ] as const
      ) {
        const { status, out, err } = run(left, [realm.program("ours", program!), ...args]);
        const what = `${program} ${args.join(" ")}: ${out}${err}`;
        if (status === 0) continue;
        assert.equal(status, 1, what);
        assert.match(err, /^\w+: Error: Insufficient resources: .*\(ulimit -u.*\n$/, what);
      }
    });
  }

  /** The command of a munged with files of its own. */
  function mungedCommand(): string[] {
    const options = ["socket", "pid-file", "seed-file", "log-file", "key-file"].map((name) =>
      `--${name}=${join(directory, name)}`
    );
    return [realm.program("ours", "munged"), "--origin=127.0.0.1", ...options];
  }

  for (const left of [...LEFT, NEEDED - 1, NEEDED]) {
    it(`munged with ${left} left`, () => {
      const { status, err } = run(left, mungedCommand());
      if (left < NEEDED) {
        assert.match(err, /^munged: Error: Insufficient resources: .*\(?ulimit -u.*\n$/);
        assert.equal(status, 1);
        assert(!existsSync(join(directory, "socket")));
        return;
      }
      assert.deepEqual({ status, err }, { status: 0, err: "" });
      const socket = `--socket=${join(directory, "socket")}`;
      assert.equal(realm.run("ours", "munge", ["--no-input", socket]).status, 0);
      assert.equal(realm.run("ours", "munged", ["--stop", socket]).status, 0);
    });
  }

  it("a running munged waits if the engine can start no more threads, and then goes on", async () => {
    const command = ["setpriv", ...asUser, ...mungedCommand(), "--foreground"];
    const daemon = await startDaemon(command, (log) => log.includes("Created 2 work threads"));
    const pid = daemon.process.pid!;
    const allow = (processes: number) => {
      const command = ["prlimit", `--pid=${pid}`, `--nproc=${processes}:`];
      assert.equal(spawnSync("setpriv", [...asUser, ...command]).status, 0);
    };
    const socket = `--socket=${join(directory, "socket")}`;
    try {
      allow(1);
      // Garbage is collected in threads of its own, which are started now.
      realm.run("ours", "remunge", ["--quiet", "--duration=5", "--length=100000", socket]);
      assert(isRunning(pid), daemon.log());
      allow(1_000);
      assert.equal(realm.run("ours", "munge", ["--no-input", socket]).status, 0);
    } finally {
      daemon.process.kill();
    }
    assert.equal(await daemon.ended, 0);
  });
});
