// The files for logrotate and systemd, where a mistake is only noticed months later or in a container.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { isRoot } from "../harness/programs.ts";
import { withDirectory } from "../harness/scratch.ts";
import { suite } from "../suite.ts";

const hasUser = spawnSync("id", ["munge"]).status === 0;

it("a restart keeps /run/munge, which containers bind-mount", () => {
  assert.match(
    readFileSync("packaging/systemd/hardening.conf", "latin1"),
    /^RuntimeDirectoryPreserve=(yes|restart)$/m,
  );
});

suite("logrotate", {
  root: isRoot,
  "the user munge": hasUser,
  logrotate: Bun.which("logrotate") !== null,
}, () => {
  it("rotates a log in a directory that its group may write to, as SUSE's may", () => {
    withDirectory((directory) => {
      const log = join(directory, "munged.log");
      writeFileSync(log, "a line\n");
      spawnSync("chown", ["-R", "munge:munge", directory]);
      chmodSync(directory, 0o770);
      const file = join(directory, "logrotate.conf");
      const text = readFileSync("packaging/munge.logrotate", "latin1");
      writeFileSync(file, text.replace("/var/log/munge/munged.log", log), { mode: 0o644 });
      const command = ["--force", `--state=${directory}/state`, file];
      const { status, stderr } = spawnSync("logrotate", command, { encoding: "latin1" });
      assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
      assert.equal(readFileSync(log, "latin1"), "");
    });
  });
});
