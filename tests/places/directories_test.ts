// Odd working directories and bare root directories, as found in batch jobs, chroots and an initramfs.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { after, before, it } from "node:test";
import { IDLE_MEMORY, MIB, settledMemory } from "../harness/memory.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { hasReference, isRoot } from "../harness/programs.ts";
import { suite } from "../suite.ts";

/** Shells complain about a locale that the system lacks. */
const ENV = { ...process.env, LC_ALL: "C" };

/** Runs a shell script; `$1` and so on are `args`. */
function sh(script: string, ...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync("/bin/sh", ["-c", script, "sh", ...args], {
    encoding: "latin1",
    cwd: "/",
    env: ENV,
    timeout: 300_000,
  });
  return { status, out: stdout, err: stderr };
}

/** Directories that programs have trouble with, and how to enter them: in Python, as shells have trouble too. */
const DIRECTORIES = {
  "a deleted directory": "d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)",
  "a directory whose path is too long for the system":
    "os.chdir(tempfile.mkdtemp()); [(os.mkdir('d' * 200), os.chdir('d' * 200)) for i in range(30)]",
};

/** Like sh(), in a directory that Python enters first; the shell's own complaints about it are removed. */
function shIn(enter: string, script: string, ...args: readonly string[]) {
  const start =
    `import os, sys, tempfile; ${enter}; os.execv("/bin/sh", ["sh", "-c", *sys.argv[1:]])`;
  const { status, stdout, stderr } = spawnSync("python3", ["-c", start, script, "sh", ...args], {
    encoding: "latin1",
    env: ENV,
    timeout: 300_000,
  });
  return { status, out: stdout, err: stderr.replace(/^sh: .*\n/, "") };
}

suite("working directories", { python3: Bun.which("python3") !== null }, () => {
  let realm: Realm;
  let munged: Munged;

  before(async () => {
    realm = new Realm();
    munged = await realm.start("ours");
  });
  after(() => realm?.close());

  for (const [name, enter] of Object.entries(DIRECTORIES)) {
    it(`munge and unmunge work in ${name}`, () => {
      const script = `printf hello | "$1" --socket="$3" | "$2" --socket="$3" --metadata=/dev/null`;
      const programs = [realm.program("ours", "munge"), realm.program("ours", "unmunge")];
      assert.deepEqual(shIn(enter, script, ...programs, munged.socket), {
        status: 0,
        out: "hello",
        err: "",
      });
    });

    it(`a relative path in ${name} fails, and the error names it`, () => {
      const script = `exec "$1" --socket="$2" --input=no-such-file`;
      for (const make of hasReference ? ["ours", "reference"] as const : ["ours"] as const) {
        assert.deepEqual(shIn(enter, script, realm.program(make, "munge"), munged.socket), {
          status: 1,
          out: "",
          err: 'munge: Error: Failed to read from "no-such-file": No such file or directory\n',
        });
      }
    });

    it(`munged --stop works in ${name}`, async () => {
      const other = await realm.start("ours");
      const script = `exec "$1" --stop --socket="$2"`;
      assert.equal(shIn(enter, script, realm.program("ours", "munged"), other.socket).status, 0);
      await other.stop();
    });
  }
});

/** What a program needs from the system to start in its own root directory. */
function copyProgram(root: string, program: string): void {
  copyFileSync(program, join(root, "bin", basename(program)));
  const { stdout } = spawnSync("ldd", [program], { encoding: "utf8" });
  for (const [library] of stdout.matchAll(/\/\S+\.so\S*/g)) {
    mkdirSync(join(root, library, ".."), { recursive: true });
    copyFileSync(library, join(root, library));
  }
}

suite("bare root directories", { root: isRoot, "/usr/sbin/munged": hasReference }, () => {
  let root: string;
  const files = ["socket", "log-file", "pid-file", "seed-file"].map((name) =>
    `--${name}=/run/${name}`
  );
  const options = [...files, "--key-file=/run/key", "--origin=127.0.0.1"];
  const run = (name: string, ...args: readonly string[]) =>
    sh('exec chroot "$@"', root, `/bin/${name}`, ...args);

  before(() => {
    root = mkdtempSync("/tmp/munge-root-");
    for (const name of ["bin", "dev", "etc", "lib", "run"]) mkdirSync(join(root, name));
    spawnSync("chmod", ["755", root]);
    copyProgram(root, "dist/mungebox");
    copyProgram(root, "/usr/sbin/munged");
    spawnSync("mv", [join(root, "bin/munged"), join(root, "bin/reference")]);
    for (const name of ["munge", "unmunge", "munged", "mungekey", "aukspriv", "auks-step"]) {
      symlinkSync("mungebox", join(root, "bin", name));
    }
    writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/:/bin/sh\n");
    writeFileSync(join(root, "etc/group"), "root:x:0:\n");
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  it("without /dev/null, munged reports that, like the reference, and does not create it", () => {
    assert.equal(run("mungekey", "--keyfile=/run/key").status, 0);
    for (const name of ["munged", "reference"]) {
      const { status, err } = run(name, ...options);
      assert.equal(err, `${name}: Error: Failed to open "/dev/null": No such file or directory\n`);
      assert.equal(status, 1);
      assert.deepEqual(readdirSync(join(root, "dev")), []);
    }
  });

  it("without /dev/null, aukspriv reports that and does not create it", () => {
    assert.deepEqual(run("aukspriv", "--once"), {
      status: 1,
      out: "",
      err: 'aukspriv: Error: Failed to open "/dev/null": No such file or directory\n',
    });
    assert.deepEqual(readdirSync(join(root, "dev")), []);
  });

  it("without /proc, auks-step starts its copy, and doctor examines directories", () => {
    assert(!existsSync(join(root, "proc")));
    assert.match(run("auks-step", "begin", "--uid=0").err, /Failed to load the Kerberos library: /);
    const { out, err } = run("mungebox", "doctor", "--key-file=/run/key", "--socket=/run/socket");
    assert.match(out, /^ok +socket directory +/m);
    assert.equal(err, "");
  });

  it("everything works without /proc, and in as little memory", async () => {
    assert(!existsSync(join(root, "proc")));
    assert.equal(sh('mknod -m 666 "$1" c 1 3', join(root, "dev/null")).status, 0);
    assert.deepEqual(run("munged", ...options), { status: 0, out: "", err: "" });
    try {
      const { out } = run("munge", "--socket=/run/socket", "--string=hello");
      writeFileSync(join(root, "credential"), out);
      const opened = run(
        "unmunge",
        "--socket=/run/socket",
        "--input=/credential",
        "--metadata=/dev/null",
      );
      assert.deepEqual(opened, { status: 0, out: "hello", err: "" });
      const pid = Number(readFileSync(join(root, "run/pid-file"), "latin1"));
      const resident = await settledMemory(pid);
      assert(resident <= IDLE_MEMORY, `${resident / MIB} MiB stay resident`);
    } finally {
      assert.equal(run("munged", "--stop", "--socket=/run/socket").status, 0);
    }
  });
});
