// A daemon that enters the background: what it is detached from, and how it reports that it can't start.
import { readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { test } from "node:test";
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { withDirectory } from "../../harness/scratch.ts";

const program = fileURLToPath(new URL("./background_program.ts", import.meta.url));

function start(directory: string, ending: string, wrapper: readonly string[] = []) {
  return Bun.spawnSync([...wrapper, process.execPath, program, directory, ending], {
    stdio: ["ignore", "pipe", "pipe"],
  });
}

for (
  const [caller, wrapper] of [
    ["its caller", []],
    // As a service manager starts it: as the leader of a session of its own.
    ["a service manager", ["setsid", "--wait"]],
  ] as const
) {
  test(`enterBackground() starts a daemon that is detached from ${caller}`, {
    skip: process.platform !== "linux",
  }, () => detached(wrapper));
}

function detached(wrapper: readonly string[]): void {
  withDirectory((directory) => {
    const { exitCode, stderr } = start(directory, "serve", wrapper);
    assert.equal(stderr.toString(), "");
    assert.equal(exitCode, 0);
    const pid = readFileSync(`${directory}/pid`, "latin1");
    const process = (name: string) => `/proc/${pid}/${name}`;
    const [comm, , ppid, group, session] = /\((.*)\) (.) (\d+) (\d+) (\d+)/
      .exec(readFileSync(process("stat"), "latin1"))!.slice(1);
    assert.equal(comm, "munged");
    assert.notEqual(ppid, `${globalThis.process.pid}`);
    assert.equal(group, session);
    assert.notEqual(session, pid);
    assert.equal(readlinkSync(process("cwd")), "/");
    const cmdline = readFileSync(process("cmdline"), "latin1").split("\0");
    assert.equal(cmdline[0], "munged");
    const list = () =>
      readdirSync(process("fd")).map((fd) => [fd, target(process(`fd/${fd}`))] as const);
    // The daemon closes its end of the pipe right after the byte that releases its caller.
    let open = list();
    const isPipe = ([, file]: readonly [string, string]) => file.startsWith("pipe:");
    for (const end = performance.now() + 30_000; open.some(isPipe) && performance.now() < end;) {
      open = list();
    }
    rmSync(`${directory}/pid`);
    assert.deepEqual(open.filter(([fd]) => Number(fd) < 3).map(([, file]) => file), [
      "/dev/null",
      "/dev/null",
      "/dev/null",
    ]);
    assert.deepEqual(open.filter(isPipe), []);
  });
}

test("enterBackground() reports a daemon that fails to start", () => {
  withDirectory((directory) => {
    const { exitCode, stderr } = start(directory, "fail");
    assert.equal(exitCode, 1);
    assert.equal(stderr.toString(), "munged: Error: failed on purpose\n");
  });
});

function target(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return ""; // closed since it was listed
  }
}

test("the copies' environment variable has no effect on other commands", () => {
  const main = fileURLToPath(new URL("../../../cli/main.ts", import.meta.url));
  const { exitCode } = Bun.spawnSync([process.execPath, main, "unmunge"], {
    argv0: "unmunge",
    env: { ...process.env, MUNGED_STAGE: `session:${process.pid}` },
    stdin: Buffer.from("garbage"),
  });
  assert.notEqual(exitCode, 0);
});
