// The runtime that executables are made from: our first instructions, and no effect of environment variables.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { letScavengerSleep, replaceCode } from "../../scripts/runtime/code.ts";
import { entryCode } from "../../scripts/runtime/entry.ts";
import { MUNGEBOX } from "../harness/programs.ts";
import { withDirectory } from "../harness/scratch.ts";
import { suite } from "../suite.ts";
import { testFork } from "./fork.ts";

const ROOT = resolve(import.meta.dirname, "../..");

/** The instructions that set the longest sleep of the allocator's thread, and how to read it. */
const SCAVENGER = {
  x64: {
    found: "b930750000e996000000",
    milliseconds: (code: Buffer) => code.readUInt32LE(1),
  },
  arm64: {
    found: "08a68e522f0000141f2003d5",
    milliseconds: (code: Buffer) => code.readUInt32LE(0) >>> 5 & 0xffff,
  },
} as const;

for (const [architecture, prefix] of [["x64", ""], ["arm64", "aarch64-linux-gnu-"]] as const) {
  const native = architecture === process.arch ? "" : prefix;
  const skip = !existsSync(`/usr/bin/${native}as`);
  it(`entry.ts has the code of entry_${architecture}.s`, { skip }, () => {
    withDirectory((directory) => {
      const object = join(directory, "entry.o");
      const binary = join(directory, "entry.bin");
      const source = join(ROOT, `scripts/runtime/entry_${architecture}.s`);
      for (
        const command of [
          [`${native}as`, "-o", object, source],
          [`${native}objcopy`, "-O", "binary", object, binary],
        ]
      ) {
        const { status, stderr } = spawnSync(command[0]!, command.slice(1), { encoding: "utf8" });
        assert.equal(status, 0, stderr);
      }
      assert.deepEqual(readFileSync(binary), entryCode(architecture));
    });
  });
}

it("instructions of the runtime are replaced only if they occur as often as expected", () => {
  const replacement = { found: "0102", wanted: "0304" };
  const replaced = (bytes: number[], times: number[]) => {
    const runtime = Buffer.from(bytes);
    replaceCode(runtime, replacement, times, "counts");
    return [...runtime];
  };
  assert.deepEqual(replaced([0, 1, 2, 1], [1]), [0, 3, 4, 1]);
  assert.deepEqual(replaced([1, 2, 1, 2], [1, 2]), [3, 4, 3, 4]);
  assert.throws(() => replaced([1, 2, 1, 2], [1]), /^Error: The runtime counts in 2 places$/);
  assert.throws(() => replaced([2, 1], [1]), /in 0 places/);
});

it("the allocator's thread wakes up rarely, at intervals that its arithmetic can express", () => {
  for (const [architecture, shift] of [["x64", 16], ["arm64", 13]] as const) {
    const { found, milliseconds } = SCAVENGER[architecture];
    const runtime = Buffer.from(found, "hex");
    letScavengerSleep(runtime, architecture);
    const sleep = milliseconds(runtime);
    assert.equal(milliseconds(Buffer.from(found, "hex")), 30_000);
    assert(sleep > 60_000);
    const eighth = Math.floor(sleep / 8);
    assert(eighth < 2 ** shift);
    assert.equal(Math.floor(eighth * 8389 / 2 ** 20), sleep / 1000);
  }
});

suite("the executable's start", { "the executable": existsSync(MUNGEBOX) }, () => {
  it("the runtime's variables have no effect", () => {
    withDirectory((directory) => {
      const file = join(directory, "written");
      const variables = {
        BUN_OPTIONS: "--print=1",
        BUN_BE_BUN: "1",
        BUN_INSPECT: "127.0.0.1:0",
        BUN_JSC_noSuchOption: "1",
        BUN_JSC_useJIT: "0",
        JSC_useJIT: "0",
        JavaScriptCoreUseJIT: "0",
        SIMDUTF_FORCE_IMPLEMENTATION: "x",
        BUN_BYTECODE_ORDER_OUT: file,
        BUN_BYTECODE_DIGEST_OUT: file,
        BUN_TRACE: file,
        MIMALLOC_VERBOSE: "1",
        mimalloc_show_stats: "1",
        NODE_CHANNEL_FD: "1",
      };
      const run = (env: Record<string, string>) => {
        const { status, stdout, stderr } = spawnSync(MUNGEBOX, ["munge", "--help"], {
          env,
          encoding: "utf8",
        });
        return { status, stdout, stderr };
      };
      const wanted = run({});
      assert.equal(wanted.status, 0);
      for (const [name, value] of Object.entries(variables)) {
        assert.deepEqual(run({ [name]: value }), wanted, name);
      }
      assert.deepEqual(run(variables), wanted);
      assert.deepEqual(readdirSync(directory), []);
    });
  });

  it("the leader of a daemon's session, and no other process, forks before the runtime starts", () => {
    testFork(([argv0, ...args], env) =>
      spawnSync(MUNGEBOX, args, { argv0: argv0!, env, encoding: "utf8" })
    );
  });

  it("a daemon in the background runs what its session's leader has started", async () => {
    await withDirectory(async (directory) => {
      const files = ["key-file", "socket", "pid-file", "log-file", "seed-file", "replay-dir"];
      writeFileSync(join(directory, "key-file"), new Uint8Array(1024).fill(1), { mode: 0o600 });
      const options = files.map((name) => `--${name}=${join(directory, name)}`);
      const { status, stderr } = spawnSync(MUNGEBOX, ["munged", "--force", ...options], {
        encoding: "utf8",
      });
      assert.equal(status, 0, stderr);
      const pid = Number(readFileSync(join(directory, "pid-file"), "latin1"));
      try {
        // The variables of the last program executed: the leader's, because a fork keeps them.
        assert.match(
          readFileSync(`/proc/${pid}/environ`, "latin1"),
          /\0MUNGED_STAGE=session:\d+\0/,
        );
        const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
        const [comm, , , group, session, terminal] = /\((.*)\) (.) (\d+) (\d+) (\d+) (\d+)/
          .exec(stat)!.slice(1);
        assert.deepEqual([comm, group, terminal], ["munged", session, "0"]);
        assert.notEqual(session, `${pid}`);
      } finally {
        process.kill(pid);
        while (existsSync(`/proc/${pid}`)) await pause(10);
      }
    });
  });

  it("an ignored SIGPWR, which the engine itself uses, causes no message", () => {
    const ignoring = ["-c", 'trap "" PWR; exec "$@"', "sh", MUNGEBOX, "munge", "--version"];
    const { status, stdout, stderr } = spawnSync("/bin/sh", ignoring, { encoding: "utf8" });
    assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
    assert.match(stdout, /^munge-\d/);
  });

  it("a fatal signal ends a program without a message, as it ends a C program", async () => {
    for (const signal of ["SIGABRT", "SIGTRAP", "SIGILL", "SIGFPE"] as const) {
      const client = spawn("/bin/sh", [
        "-c",
        'ulimit -c 0; exec "$@"',
        "sh",
        MUNGEBOX,
        "munge",
        "--socket=/no/such",
      ], { stdio: ["pipe", "pipe", "pipe"] });
      let printed = "";
      for (const stream of [client.stdout, client.stderr]) {
        stream.on("data", (text) => printed += text);
      }
      const link = `/proc/${client.pid}/exe`;
      while (readlinkSync(link) !== resolve(MUNGEBOX)) await pause(10);
      await pause(300); // by then it is waiting for input
      client.kill(signal);
      assert.deepEqual(await once(client, "close"), [null, signal]);
      assert.equal(printed, "", signal);
    }
  });

  it("a client starts without reading its memory map or looking for NUMA nodes", {
    skip: spawnSync("strace", ["-V"]).status !== 0 && "strace is not installed",
  }, () => {
    const command = ["-f", "--trace=%file", MUNGEBOX, "munge", "--version"];
    const { status, stderr } = spawnSync("strace", command, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.match(stderr, /^execve\(/);
    assert.doesNotMatch(stderr, /"\/proc\/self\/maps"|"\/sys\/devices\/system\/node\//);
  });

  it("the failure of a stream is one line, not the runtime's report with our source", {
    skip: spawnSync("strace", ["-V"]).status !== 0 && "strace is not installed",
  }, () => {
    let failures = 0;
    for (const call of ["epoll_ctl", "recvfrom"]) {
      for (let time = 1; time <= 16; time++) {
        const fault = ["-f", "--output=/dev/null", `--inject=${call}:error=EIO:when=${time}`];
        const { stderr } = spawnSync("strace", [...fault, MUNGEBOX, "auks-step", "begin"], {
          encoding: "utf8",
        });
        assert.match(stderr, /^(?:[ -~]+\n){0,2}$/, `${call} ${time}`);
        assert.doesNotMatch(stderr, /bun/i, `${call} ${time}`);
        if (stderr.includes("Input/output error")) failures++;
      }
    }
    assert(failures > 0);
  });

  it("arguments and other variables arrive unchanged", () => {
    for (const count of [0, 1, 2, 301]) {
      const env = Object.fromEntries(
        Array.from({ length: count }, (_, i) => [`V${i}`, "x".repeat(i)]),
      );
      const words = Array<string>(count).fill("--syslog");
      const args = ["munged", ...words, "--check-config"];
      const { status, stdout, stderr } = spawnSync(MUNGEBOX, args, {
        env: { ...env, BUN_X: "1", MUNGE_TTL: "77", Bun_Y: "2" },
        encoding: "utf8",
      });
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^ttl=77 +# environment variable MUNGE_TTL$/m);
      assert.match(stdout, count > 0 ? /^syslog=yes/m : /^syslog=no/m);
    }
  });
});
