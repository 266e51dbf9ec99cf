// Systems that refuse memory that is both writable and executable: systemd's MemoryDenyWriteExecute=, SELinux.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { ERRNO } from "../../lib/errors.ts";
import { Realm } from "../harness/realm.ts";
import { suite } from "../suite.ts";

const [uid, gid] = [process.getuid!(), process.getgid!()];
const username = spawnSync("id", ["-un"], { encoding: "utf8" }).stdout.trim();

/** Becomes a command that is denied such memory: prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN), Linux 6.3. */
const DENY = `import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])`;

function denied(command: readonly string[]) {
  const { status, stdout, stderr } = spawnSync("python3", ["-c", DENY, ...command], {
    encoding: "latin1",
    timeout: 300_000,
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

    it("clients work as they do elsewhere", async () => {
      const { socket } = await realm.start("ours");
      const program = (name: string) => realm.program("ours", name);
      const options = [`--socket=${socket}`];
      const made = denied([
        program("munge"),
        ...options,
        "--string=hello",
        `--restrict-uid=${uid}`,
      ]);
      assert.deepEqual([made.status, made.err], [0, ""]);
      const file = join(realm.directory, "credential");
      writeFileSync(file, made.out);
      const opening = [...options, `--input=${file}`, "--keys=UID,GID,UID_RESTRICTION,ENCODE_TIME"];
      const opened = denied([program("unmunge"), ...opening]);
      assert.equal(opened.status, 0, opened.err);
      const user = ` +${username} \\(${uid}\\)`;
      assert.match(
        opened.out,
        new RegExp(
          `^ENCODE_TIME: +[-\\d]+ [:\\d]+ [-+]\\d{4} \\(\\d+\\)\nUID:${user}\n` +
            `GID: +\\S+ \\(${gid}\\)\nUID_RESTRICTION:${user}\n\nhello$`,
        ),
      );
      const payload = new Uint8Array(2 ** 20 + 1);
      const input = join(realm.directory, "payload");
      writeFileSync(input, payload);
      const long = denied([program("munge"), ...options, `--input=${input}`]);
      assert.equal(long.err, "munge: Error: Input size exceeded maximum of 1048576\n");
      const large = [`--socket=${(await realm.start("ours", ["--max-payload=2M"])).socket}`];
      const credential = `--output=${join(realm.directory, "long credential")}`;
      const sealed = denied([program("munge"), ...large, `--input=${input}`, credential]);
      assert.deepEqual([sealed.status, sealed.err], [0, ""]);
      const unsealed = denied([program("unmunge"), ...large, credential.replace("out", "in")]);
      assert.match(unsealed.out, /^LENGTH: +1048577$/m);
      const elsewhere = realm.run("ours", "unmunge", opening);
      assert.deepEqual(denied([program("unmunge"), ...opening]), {
        status: ERRNO.EMUNGE_CRED_REPLAYED,
        out: elsewhere.out,
        err: elsewhere.err,
      });
      for (
        const args of [["--version"], ["--no-input", "--socket=/no/such"], [
          "--restrict-uid=no such",
        ]]
      ) {
        assert.deepEqual(denied([program("munge"), ...args]), realm.run("ours", "munge", args));
      }
      const key = `--keyfile=${join(realm.directory, "new.key")}`;
      assert.deepEqual(denied([program("mungekey"), key]), { status: 0, out: "", err: "" });
    });

    it("munged says what it needs, and how to allow it", () => {
      for (const args of [[], ["--foreground"]]) {
        const { status, out, err } = denied([realm.program("ours", "munged"), ...args]);
        assert.match(err, /^munged: Error: Memory .* not allowed here: allow it with [^\n]*\n$/);
        assert.equal(out, "");
        assert.equal(status, 1);
      }
    });
  },
);
