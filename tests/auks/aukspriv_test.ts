// aukspriv with a real KDC: what it prints, what it stores and for whom, and that it leaves nothing behind.
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import {
  chmodSync,
  existsSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { MAIN } from "../harness/programs.ts";
import { suite } from "../suite.ts";
import { Kdc, KDC_NEEDS } from "./kdc.ts";

const MNGT = "host/mngt.realm.a@REALM.A";

const NEEDS = {
  ...KDC_NEEDS,
  root: process.getuid!() === 0,
  strace: existsSync("/usr/bin/strace"),
};

suite("aukspriv", NEEDS, () => {
  let kdc: Kdc;
  let keytab: string;
  const running = new Set<ChildProcess>();

  before(async () => {
    kdc = await Kdc.start();
    keytab = kdc.keytab("host/mngt.realm.a");
    chmodSync(kdc.directory, 0o755);
  });

  after(async () => {
    for (const child of running) child.kill("SIGKILL");
    await kdc?.stop();
  });

  const cache = () => kdc.cache("priv");
  const environment = (more: Record<string, string>) => ({
    ...kdc.envOf("priv"),
    AUKS_PRIV_KEYTAB: keytab,
    ...more,
  });

  /** Runs `aukspriv -v` until it has printed this many lines, then stops it. */
  async function watch(lines: number, more: Record<string, string> = {}): Promise<string[]> {
    rmSync(cache(), { force: true });
    const child = spawn(process.execPath, [MAIN, "aukspriv", "-v"], { env: environment(more) });
    running.add(child);
    const said: string[] = [];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said.push(...text.split("\n").filter((line) => line !== ""));
    });
    const limit = performance.now() + 120_000;
    while (said.length < lines && performance.now() < limit) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    child.kill("SIGTERM");
    const signal = await new Promise((resolve) =>
      child.on("exit", (_status, name) => resolve(name))
    );
    running.delete(child);
    assert.equal(signal, "SIGTERM");
    return said.slice(0, lines).map((line) =>
      line.replace(
        /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ \d{4} (?=\[INFO1\] aukspriv: {2})/,
        "TIME ",
      )
    );
  }

  const built = (principal: string, path = keytab) =>
    `TIME [INFO1] aukspriv:  ccache build for ${principal} using \t      ${path}`;
  const failed = (principal: string, path: string, error: string) =>
    `TIME [INFO1] aukspriv:  unable to get ccache for ${principal} using \t      ktfile ${path} : ${error}`;
  const klist = (...args: string[]) =>
    execFileSync("/usr/bin/klist", args, { env: kdc.envOf("priv"), encoding: "utf8" });

  it("fills the cache with the keytab's principal", async () => {
    assert.deepEqual(await watch(1), [built(MNGT)]);
    assert.match(klist(), new RegExp(`Default principal: ${MNGT}\n[^]*krbtgt/REALM.A@REALM.A`));
    assert.equal(statSync(cache()).mode & 0o777, 0o600);
  });

  it("uses a given principal", async () => {
    const lines = await watch(1, {
      AUKS_PRIV_PRINC: "host/mngt.realm.a",
      AUKS_PRIV_LIFETIME: "600",
    });
    assert.deepEqual(lines, [built("host/mngt.realm.a")]);
  });

  it("requests tickets according to AUKS_KINIT_OPTS", async () => {
    assert.deepEqual(await watch(1, { AUKS_KINIT_OPTS: "-r 2d -f" }), [built(MNGT)]);
    assert.match(klist("-f"), /Flags: FR/);
  });

  it("renews after AUKS_PRIV_RENEW_INT, and at two thirds of a short ticket", async () => {
    assert.deepEqual(await watch(2, { AUKS_PRIV_RENEW_INT: "1" }), [built(MNGT), built(MNGT)]);
    const started = performance.now();
    assert.deepEqual(await watch(2, { AUKS_PRIV_LIFETIME: "3" }), [built(MNGT), built(MNGT)]);
    const seconds = (performance.now() - started) / 1000;
    assert(seconds > 1.4 && seconds < 120, `${seconds} s`); // the usual interval is hours
  });

  it("reports errors, and retries after AUKS_PRIV_ERROR_INT", async () => {
    const missing = "/nowhere/krb5.keytab";
    const line = failed("a principal", missing, `Key table file '${missing}' not found`);
    assert.deepEqual(
      await watch(2, { AUKS_PRIV_KEYTAB: missing, AUKS_PRIV_ERROR_INT: "1" }),
      [line, line],
    );
    assert.deepEqual(await watch(1, { AUKS_PRIV_PRINC: "nobody@REALM.A" }), [
      failed(
        "nobody@REALM.A",
        keytab,
        "Keytab contains no suitable keys for nobody@REALM.A while getting initial credentials",
      ),
    ]);
    assert(!existsSync(cache()));
  });

  it("chooses among several principals, explains why, and falls back to one that the KDC knows", async () => {
    const several = join(kdc.directory, "several.keytab");
    const input = [
      "addent -password -p RestrictedKrbHost/NODE@REALM.A -k 1 -e aes256-cts",
      "addent -password -p NODE$@REALM.A -k 1 -e aes256-cts",
    ].map((line) => `${line}\nsecret\n`).join("");
    spawnSync("/usr/bin/ktutil", [], {
      env: kdc.env,
      input: `${input}rkt ${keytab}\nwkt ${several}\nquit\n`,
    });
    assert.deepEqual(await watch(2, { AUKS_PRIV_KEYTAB: several }), [
      `TIME [INFO1] aukspriv:  ${MNGT} was chosen among the principals of ${several}: ` +
      "it is a host principal, but for another host name",
      built(MNGT, several),
    ]);
  });

  it("gives up on a KDC that does not answer in time", async () => {
    const hole = createSocket("udp4");
    await new Promise<void>((resolve) => hole.bind(0, "127.0.0.1", resolve));
    const config = join(kdc.directory, "silent.conf");
    const text = readFileSync(join(kdc.directory, "krb5.conf"), "utf8");
    writeFileSync(config, text.replace(/\bkdc = \d.*/, `kdc = 127.0.0.1:${hole.address().port}`));
    try {
      // libkrb5 itself tries for longer than 10 s; on a busy machine, the start of a program may take seconds.
      for (let tries = 1, took = Infinity; took >= 10_000; tries++) {
        assert(tries <= 5, `${took} ms`);
        const started = performance.now();
        const lines = await watch(1, { KRB5_CONFIG: config, AUKS_PRIV_KINIT_TIMEOUT: "1" });
        assert.deepEqual(lines, [failed("a principal", keytab, "no answer within 1 s")]);
        took = performance.now() - started;
      }
    } finally {
      hole.close();
    }
  });

  it("maintains the cache of another account", () => {
    rmSync(cache(), { force: true });
    chmodSync(join(kdc.directory, "caches"), 0o777);
    const { status, stdout } = spawnSync(process.execPath, [MAIN, "aukspriv", "--once"], {
      env: environment({ AUKS_PRIV_USER: "daemon" }),
      encoding: "utf8",
    });
    assert.equal(status, 0);
    assert.equal(stdout, `aukspriv: ccache build for ${MNGT} using \t      ${keytab}\n`);
    assert.equal(statSync(cache()).uid, 1);
    assert.match(klist(), new RegExp(MNGT));
  });

  it("maintains the cache of an account with a UID above 2^31, and hides its memory from it", () => {
    rmSync(cache(), { force: true });
    chmodSync(join(kdc.directory, "caches"), 0o777);
    const passwd = join(kdc.directory, "passwd");
    writeFileSync(passwd, "root:x:0:0::/:/bin/sh\nbig:x:4000000001:4000000002::/:/bin/sh\n");
    const traced = join(kdc.directory, "traced");
    const { status, stderr } = spawnSync("/usr/bin/unshare", [
      "--mount",
      "/bin/sh",
      "-c",
      'mount --bind "$1" /etc/passwd && shift && exec "$@"',
      "sh",
      passwd,
      "/usr/bin/strace",
      "-f",
      "-o",
      traced,
      "-e",
      "trace=setresuid,prctl",
      process.execPath,
      MAIN,
      "aukspriv",
      "--once",
    ], { env: environment({ AUKS_PRIV_USER: "big" }), encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.deepEqual(
      [statSync(cache()).uid, statSync(cache()).gid],
      [4000000001, 4000000002],
    );
    // Where fs.suid_dumpable is 1, the kernel makes a process visible to its new user.
    assert.match(
      readFileSync(traced, "utf8"),
      /setresuid\((?:4000000001[, ]*){3}\)[^]*PR_SET_DUMPABLE, (?:0|SUID_DUMP_DISABLE)/,
    );
  });

  it("--once fails without a ticket", () => {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, "aukspriv", "--once"], {
      env: environment({ AUKS_PRIV_USER: "no such user" }),
      encoding: "utf8",
    });
    assert.equal(status, 1);
    assert.match(stderr, /unknown account no such user \(AUKS_PRIV_USER\)/);
  });

  it("refuses invalid variables", () => {
    for (const more of [{ AUKS_PRIV_ERROR_INT: "x" }, { AUKS_PRIV_SYSLOG_PRIO: "local9.notice" }]) {
      const { status, stderr } = spawnSync(process.execPath, [MAIN, "aukspriv"], {
        env: environment(more),
        encoding: "utf8",
      });
      assert.equal(status, 1);
      assert.match(stderr, new RegExp(`^aukspriv: ${Object.keys(more)[0]}: `));
    }
  });

  it("goes into the background once its cache is filled, and leaves nothing behind on TERM", async () => {
    rmSync(cache(), { force: true });
    const mark = `mark-${process.pid}`;
    const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, "aukspriv"], {
      env: environment({ MARK: mark, AUKS_PRIV_USER: "root" }),
      encoding: "utf8",
    });
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: "", stderr: "" });
    assert.match(klist(), new RegExp(MNGT));
    const found = processesWith(mark);
    assert.equal(found.length, 1);
    assert.equal(readlinkSync(`/proc/${found[0]}/cwd`), "/");
    process.kill(found[0]!, "SIGTERM");
    for (let i = 0; i < 1000 && processesWith(mark).length > 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.deepEqual(processesWith(mark), []);
  });
});

/** The processes with a word in their environment. */
function processesWith(word: string): number[] {
  const { stdout } = spawnSync("sh", ["-c", `grep -la ${word} /proc/[0-9]*/environ 2>/dev/null`], {
    encoding: "utf8",
  });
  return stdout.split("\n").filter((line) => line !== "").map((line) => Number(line.split("/")[2]))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("main.ts");
      } catch {
        return false;
      }
    });
}
