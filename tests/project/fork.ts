// What every executable for Linux must do as the leader of a daemon's session (scripts/runtime/entry.ts): fork before its
// runtime starts.
import assert from "node:assert/strict";
import type { SpawnSyncReturns } from "node:child_process";
import { ERRNO } from "../../lib/errors.ts";

/** Runs an executable under the name `args[0]`, as a child of this process. */
type Run = (
  args: readonly string[],
  env: Readonly<Record<string, string>>,
) => SpawnSyncReturns<string>;

/** Asserts that it forks if MUNGED_STAGE says so and names this process, and otherwise does not. */
export function testFork(run: Run): void {
  const leader = `session:${process.pid}`;
  const start = (stage: string) =>
    run(["munged", "--foreground", "--key-file=/nonexistent/key"], { MUNGED_STAGE: stage });

  const { status, pid, stdout, stderr } = start(leader);
  assert.equal(status, 0, stderr);
  assert.equal(stdout, "");
  assert.notEqual(startedPid(stderr), pid);
  assert.match(stderr, /^munged: Error: /m);

  for (
    const other of [
      "",
      "daemon",
      "session",
      "session:",
      `session:${process.pid + 1}`,
      `${leader}0`,
      `${leader} `,
      `session: ${process.pid}`,
      `Session:${process.pid}`,
    ]
  ) {
    const { status, pid, stderr } = start(other);
    assert.equal(status, 1, `${other}: ${stderr}`);
    assert.equal(startedPid(stderr), pid, other);
  }

  const client = run(["munge", "--no-input", "--socket=/nonexistent/socket"], {
    MUNGED_STAGE: leader,
  });
  assert.equal(client.status, ERRNO.EMUNGE_SOCKET, client.stderr);
}

/** The process that says it starts as a munged. */
function startedPid(stderr: string): number {
  const found = /Starting munge-\S+ daemon \(pid (\d+)\)/.exec(stderr);
  assert(found !== null, stderr);
  return Number(found[1]);
}
