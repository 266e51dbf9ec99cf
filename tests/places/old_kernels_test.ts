// Kernels and container runtimes that lack newer system calls, or refuse them: RHEL 7 and 8, old Docker. A seccomp filter
// imitates them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { hasReference, MUNGEBOX } from "../harness/programs.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { suite } from "../suite.ts";

/** Becomes a command for which some system calls, by number, fail with an error. */
const FILTER = `import ctypes, os, struct, sys
error, *calls = [int(word) for word in sys.argv[1].split(",")]
command = sys.argv[2:]
code = struct.pack("HBBI", 0x20, 0, 0, 0)  # load the call's number
for i, call in enumerate(calls):
    code += struct.pack("HBBI", 0x15, len(calls) - i, 0, call)
code += struct.pack("HBBI", 0x06, 0, 0, 0x7fff0000)  # allow
code += struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | error)
code = ctypes.create_string_buffer(code, len(code))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(code)), 16)
libc = ctypes.CDLL(None)
if libc.prctl(38, 1, 0, 0, 0): sys.exit(77)
if libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0): sys.exit(77)
os.execv(command[0], command)`;

const ENOSYS = 38;
const EPERM = 1;
/** x64 numbers of system calls added since Linux 3.10. */
const NEWER = {
  renameat2: 316,
  memfd_create: 319,
  execveat: 322,
  membarrier: 324,
  mlock2: 325,
  copy_file_range: 326,
  preadv2: 327,
  pwritev2: 328,
  pkey_alloc: 330,
  statx: 332,
  rseq: 334,
  pidfd_send_signal: 424,
  io_uring_setup: 425,
  pidfd_open: 434,
  clone3: 435,
  close_range: 436,
  openat2: 437,
  faccessat2: 439,
  epoll_pwait2: 441,
  landlock_create_ruleset: 444,
} as const;
const { clone3, ...REFUSABLE } = NEWER;
/** Older calls, which a service's filter may refuse (systemd's @resources). */
const PRLIMIT64 = 302;
const GETRLIMIT = 97;

function filtered(error: number, calls: readonly number[], command: readonly string[]) {
  const words = ["-c", FILTER, [error, ...calls].join(","), ...command];
  const { status, stdout, stderr } = spawnSync("python3", words, {
    encoding: "latin1",
    cwd: "/",
    timeout: 300_000,
  });
  return { status, out: stdout, err: stderr };
}

suite(
  "old kernels",
  {
    "seccomp on x64": process.platform === "linux" && process.arch === "x64" &&
      filtered(ENOSYS, [clone3], ["/bin/true"]).status === 0,
  },
  () => {
    let realm: Realm;
    let munged: Munged;

    before(async () => {
      realm = new Realm();
      munged = await realm.start("ours");
    });
    after(() => realm?.close());

    for (
      const [name, error, calls] of [
        ["calls that came after Linux 3.10 do not exist", ENOSYS, Object.values(NEWER)],
        // glibc itself can't start threads where clone3 fails with another error.
        ["calls that came after Linux 3.10 are refused", EPERM, Object.values(REFUSABLE)],
      ] as const
    ) {
      it(`everything works where ${name}`, () => {
        const run = (program: string, ...args: readonly string[]) =>
          filtered(error, calls, [realm.program("ours", program), ...args]);
        const file = join(realm.directory, "credential");
        const socket = `--socket=${munged.socket}`;
        const made = run("munge", socket, "--string=hello", `--output=${file}`);
        assert.deepEqual(made, { status: 0, out: "", err: "" });
        const opened = run("unmunge", socket, `--input=${file}`, "--metadata=/dev/null");
        assert.deepEqual(opened, { status: 0, out: "hello", err: "" });
        const base = join(realm.directory, `old-${error}`);
        mkdirSync(base, { mode: 0o755 });
        const key = run("mungekey", `--keyfile=${base}/key`);
        assert.deepEqual(key, { status: 0, out: "", err: "" });
        const files = ["pid", "seed", "log", "key"].map((file) => `--${file}-file=${base}/${file}`);
        const own = `--socket=${base}/socket`;
        const started = run("munged", own, ...files, "--origin=127.0.0.1");
        assert.deepEqual(started, { status: 0, out: "", err: "" });
        const asked = realm.run("ours", "munge", ["--no-input", own]);
        assert.equal(run("munged", "--stop", own).status, 0);
        assert.equal(asked.status, 0, asked.err);
      });
    }

    it("a daemon says in one line that glibc can't start threads, where clone3 is refused", () => {
      for (const name of ["munged", "auksd", "auksdrenewer"]) {
        assert.deepEqual(filtered(EPERM, [clone3], [MUNGEBOX, name, "-F"]), {
          status: 1,
          out: "",
          err: "mungebox: Error: No thread can be started: " +
            "a filter of system calls must allow clone3, or fail it with ENOSYS\n",
        });
      }
    });

    for (const error of [ENOSYS, EPERM]) {
      it(`where prlimit64 fails with error ${error}, clients work, and munged says so in one line`, () => {
        const run = (program: string, ...args: readonly string[]) =>
          filtered(error, [PRLIMIT64, GETRLIMIT], [realm.program("ours", program), ...args]);
        const made = run("munge", "--no-input", `--socket=${munged.socket}`);
        assert.deepEqual([made.status, made.err], [0, ""]);
        const started = run("munged", "--foreground");
        assert.match(started.err, /^munged: Error: Failed to get resource limits: .*\n$/);
        assert.equal(started.status, 1);
        if (!hasReference) return;
        const reference = filtered(error, [PRLIMIT64], ["/usr/sbin/munged", "--foreground"]);
        assert.match(reference.err, /^munged: Error: .*\n$/);
        assert.equal(reference.status, 1);
      });
    }
  },
);
