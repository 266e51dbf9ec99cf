// Limits on descriptors, stack and processes: programs run, or report the limit in one line.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, it } from "node:test";
import { processesOf } from "../harness/daemon.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { hasReference, isRoot, MAKES } from "../harness/programs.ts";
import { until } from "../harness/until.ts";
import { suite } from "../suite.ts";

/** A user without processes, not even those of another run of these tests, because all of them count. */
const UID = 1_000_000 + process.pid;

/** An environment that leaves little of `ulimit -s 128`: one long variable, or many short ones. */
const ENVIRONMENTS: readonly NodeJS.ProcessEnv[] = [
  { LONG: "x".repeat(108 * 1024) },
  Object.fromEntries(Array.from({ length: 6_500 }, (_, i) => [`V${10_000 + i}`, "x"])),
];

/** Runs a command under a limit set by bash's ulimit. */
function limited(
  limit: string,
  command: readonly string[],
  { uid, env = process.env }: { uid?: number; env?: NodeJS.ProcessEnv } = {},
) {
  const become = uid === undefined ? [] : ["setpriv", `--reuid=${uid}`, "--clear-groups"];
  const script = `ulimit -${limit} && exec "$@"`;
  const { status, stderr } = spawnSync("bash", [
    "-c",
    `exec "$@"`,
    "sh",
    ...become,
    "bash",
    "-c",
    script,
    "sh",
    ...command,
  ], {
    encoding: "latin1",
    stdio: ["ignore", "ignore", "pipe"],
    timeout: 300_000,
    env,
  });
  return { status, err: stderr };
}

suite("limits", process.platform !== "linux" && "needs Linux", () => {
  let realm: Realm;
  let munged: Munged;
  let directory: string;
  let options: string[];

  before(async () => {
    realm = new Realm();
    munged = await realm.start("ours");
    directory = join(realm.directory, "limited");
    mkdirSync(directory);
    chmodSync(directory, 0o711);
    copyFileSync(join(realm.directory, "key"), join(directory, "key-file"));
    const uid = isRoot ? UID : process.getuid!();
    chownSync(directory, uid, uid);
    chownSync(join(directory, "key-file"), uid, uid);
    options = ["socket", "pid-file", "seed-file", "log-file", "key-file"].map((name) =>
      `--${name}=${join(directory, name)}`
    );
  });
  after(() => realm?.close());

  // What an earlier test has started counts until it has ended and its parent knows.
  beforeEach(() => until("the user has no process", () => processesOf(UID) === 0));

  const clients = [
    ["n 4", 1, "munge: Error: Too many open files: 6 descriptors are needed (ulimit -n)\n"],
    ["n 6", 0, ""],
    ["s 24", 1, "munge: Error: Insufficient resources: 32 KiB of stack are needed (ulimit -s)\n"],
    ["s 32", 0, ""],
    ["s 128", 0, ""],
    ["s unlimited", 0, ""],
  ] as const;
  for (const [limit, status, err] of clients) {
    it(`munge with ulimit -${limit}`, () => {
      const command = [realm.program("ours", "munge"), "--no-input", `--socket=${munged.socket}`];
      assert.deepEqual(limited(limit, command), { status, err });
    });
  }

  for (const [index, variables] of ENVIRONMENTS.entries()) {
    for (const make of hasReference ? MAKES : ["ours"] as const) {
      it(`munge with ulimit -s 128 and environment ${index}: ${make}`, () => {
        const command = [realm.program(make, "munge"), "--no-input", `--socket=${munged.socket}`];
        const env = { PATH: process.env["PATH"], ...variables };
        assert.deepEqual(limited("s 128", command, { env }), { status: 0, err: "" });
      });
    }
  }

  for (const inherited of [3, 4, 5]) {
    it(`munge with ulimit -n 9 and ${inherited} inherited descriptors`, () => {
      const [, status, err] = inherited === 3 ? ["", 0, ""] : clients[0];
      const descriptors = Array.from({ length: inherited }, (_, i) => `${3 + i}</dev/null`);
      const script = `exec ${descriptors.join(" ")}; exec "$@"`;
      const command = [realm.program("ours", "munge"), "--no-input", `--socket=${munged.socket}`];
      assert.deepEqual(limited("n 9", ["bash", "-c", script, "sh", ...command]), { status, err });
    });
  }

  it("munge with ulimit -u 1", { skip: !isRoot }, () => {
    const command = [realm.program("ours", "munge"), "--no-input", `--socket=${munged.socket}`];
    assert.deepEqual(limited("u 1", command, { uid: UID }), { status: 0, err: "" });
  });

  const daemons = [
    ["n 10", "ulimit -n must allow 32 descriptors for 2 threads"],
    ["n 32", ""],
    ["n 101", "ulimit -n must allow 102 descriptors for 16 threads", 16],
    ["n 102", "", 16],
    ["s 64", "ulimit -s must allow 128 KiB of stack"],
    ["s 128", ""],
    ["u 10", "ulimit -u must allow 18 processes for 2 threads"],
    ["u 20", ""],
  ] as const satisfies readonly (readonly [string, string, number?])[];
  for (const [limit, text, threads = 2] of daemons) {
    it(`munged --num-threads=${threads} with ulimit -${limit}`, { skip: !isRoot }, () => {
      const munged = [realm.program("ours", "munged"), "--origin=127.0.0.1"];
      const command = [...munged, `--num-threads=${threads}`, ...options];
      const { status, err } = limited(limit, command, { uid: UID });
      assert.equal(err, text === "" ? "" : `munged: Error: Insufficient resources: ${text}\n`);
      assert.equal(status, text === "" ? 0 : 1);
      if (status !== 0) return;
      const socket = `--socket=${join(directory, "socket")}`;
      assert.equal(realm.run("ours", "munge", ["--no-input", socket]).status, 0);
      assert.equal(realm.run("ours", "munged", ["--stop", socket]).status, 0);
    });
  }

  const pids = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].find((path) =>
    existsSync(join(path, "cgroup.procs"))
  );
  const groups = [
    ["--num-threads=8", 8, "must allow 24 processes for 8 threads (pids.max is 8)"],
    ["--num-threads=8", 23, "must allow 24 processes for 8 threads (pids.max is 23)"],
    ["--num-threads=8", 24, ""],
    ["--num-threads=1", 17, ""],
  ] as const;
  for (const [threads, limit, text] of groups) {
    it(`munged ${threads} in a control group with pids.max ${limit}`, {
      skip: !isRoot && "needs root" || pids === undefined && "needs control groups",
    }, async () => {
      const group = join(pids!, `mungebox-test-${process.pid}`);
      mkdirSync(group);
      try {
        writeFileSync(join(group, "pids.max"), `${limit}\n`);
        const enter = `echo $$ >${group}/cgroup.procs && exec setpriv --reuid=${UID} ` +
          `--clear-groups "$@"`;
        const munged = [realm.program("ours", "munged"), "--origin=127.0.0.1", threads, ...options];
        const { status, stderr } = spawnSync("bash", ["-c", enter, "sh", ...munged], {
          encoding: "latin1",
          stdio: ["ignore", "ignore", "pipe"],
          timeout: 300_000,
        });
        const message = `munged: Error: Insufficient resources: the control group ${text}\n`;
        assert.equal(stderr, text === "" ? "" : message);
        assert.equal(status, text === "" ? 0 : 1);
        if (status !== 0) return;
        const socket = `--socket=${join(directory, "socket")}`;
        assert.equal(realm.run("ours", "munge", ["--no-input", socket]).status, 0);
        assert.equal(realm.run("ours", "munged", ["--stop", socket]).status, 0);
      } finally {
        const processes = join(group, "cgroup.procs");
        await until("they have all ended", () => readFileSync(processes, "latin1") === "");
        rmdirSync(group);
      }
    });
  }
});
