// Systems that refuse memory which is both writable and executable: MemoryDenyWriteExecute= of systemd, SELinux.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before } from "node:test";
import { it } from "node:test";
import { Realm } from "../interop/realm.ts";
import { suite } from "../suite.ts";

/** Becomes a command that may not have such memory: prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN), Linux 6.3. */
const DENY = `import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])`;

function denied(command: readonly string[]) {
  const { status, stdout, stderr } = spawnSync("python3", ["-c", DENY, ...command], {
    encoding: "latin1",
    timeout: 60_000,
  });
  return { status, out: stdout, err: stderr };
}

suite(
  "no writable and executable memory",
  { "Linux 6.3 and python3": denied(["/bin/true"]).status === 0 },
  () => {
    let realm: Realm;

    before(() => {
      realm = new Realm();
    });
    after(() => realm?.close());

    it("munged says what it needs and how to allow it", () => {
      for (const args of [[], ["--foreground"]]) {
        const { status, out, err } = denied([realm.program("ours", "munged"), ...args]);
        assert.match(err, /^munged: Error: Memory .* is refused here: allow it by [^\n]*\n$/);
        assert.equal(out, "");
        assert.equal(status, 1);
      }
    });
  },
);
