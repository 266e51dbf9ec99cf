// The parts of auks-step that don't need Slurm: names of caches, its child's answers, the job's file, the change of user,
// and invalid command lines.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, it } from "node:test";
import { formatAnswer, parseAnswer } from "../../cli/auks/step/answer.ts";
import { readRecord, writeRecord } from "../../cli/auks/step/record.ts";
import { expandTemplate, nameJobCache } from "../../lib/auks_client/job_cache.ts";
import { Context } from "../../lib/krb5/context.ts";
import { withDirectory } from "../harness/scratch.ts";
import { suite } from "../suite.ts";
import { PROGRAM } from "./auksd.ts";
import { KDC_NEEDS } from "./kdc.ts";

const NAMES = { uid: 2000, job: 17, step: 3 };

describe("the name of a job's cache", () => {
  it("has the user, the job and the step where the template says", () => {
    assert.equal(expandTemplate("/tmp/krb5cc_%u_%j.%s", NAMES), "/tmp/krb5cc_2000_17.3");
    assert.equal(
      expandTemplate("KEYRING:persistent:%u:100%%", NAMES),
      "KEYRING:persistent:2000:100%",
    );
  });

  it("allows nothing else after a percent sign", () => {
    for (const template of ["/tmp/%n", "/tmp/%"]) {
      assert.throws(() => expandTemplate(template, NAMES), /only %u, %j, %s and %% are known/);
    }
  });
});

suite("the file of a job's cache", KDC_NEEDS, () => {
  it("is new and private to the user if its template ends in XXXXXX", () => {
    withDirectory((directory) => {
      const template = join(directory, "cc_%u_XXXXXX");
      using context = Context.open();
      const names = [0, 1].map(() => nameJobCache(context, template, NAMES));
      assert.notEqual(names[0], names[1]);
      for (const name of names) {
        assert.match(name, /\/cc_2000_[A-Za-z0-9]{6}$/);
        assert.equal(statSync(name).mode & 0o777, 0o600);
      }
      const missing = join(directory, "none/cc_XXXXXX");
      assert.throws(() => nameJobCache(context, missing, NAMES), /No such file or directory/);
    });
  });
});

describe("auks-step", () => {
  it("understands its child's answers, and treats anything else as the end", () => {
    const line = (text: string) => text.slice(0, -1);
    const stored = parseAnswer(line(formatAnswer("stored", "FILE:/tmp/a b")));
    assert.deepEqual(stored, { kind: "stored", name: "FILE:/tmp/a b" });
    assert.deepEqual(parseAnswer(line(formatAnswer("wanted"))), { kind: "wanted" });
    for (const other of [undefined, "", "stored ", "found", "lost x"]) {
      assert.deepEqual(parseAnswer(other), { kind: "ended" });
    }
  });

  it("keeps the cache's name in the job's file, and ignores one that was not written completely", () => {
    const path = join(tmpdir(), `mungebox-record-${process.pid}`);
    writeFileSync(path, "");
    const fd = openSync(path, "r+");
    try {
      assert.equal(readRecord(fd), "");
      writeRecord(fd, "FILE:/tmp/long-name");
      writeRecord(fd, "FILE:/tmp/x");
      assert.equal(readRecord(fd), "FILE:/tmp/x");
      writeFileSync(path, "FILE:/tm");
      assert.equal(readRecord(fd), "");
    } finally {
      closeSync(fd);
      unlinkSync(path);
    }
  });

  it("refuses requests that the plugin never makes", () => {
    for (
      const [words, text] of [
        [[], /Specify one of add, begin, keep, end, clean/],
        [["keep", "--uid=x"], /Invalid number "x"/],
        [["keep", "--uid=4294967296"], /Invalid number/],
      ] as const
    ) {
      const [program, ...args] = [...PROGRAM, "auks-step", ...words];
      const { status, stderr } = spawnSync(program!, args, { encoding: "utf8" });
      assert.equal(status, 1);
      assert.match(stderr, text);
    }
  });
});

suite("auks-step clean", { ...KDC_NEEDS, root: process.getuid!() === 0 }, () => {
  const USER = 4000000001;

  it("destroys what it can of a job, reports the rest, and fails", () => {
    withDirectory((directory) => {
      const [jobs, caches] = ["jobs", "caches"].map((name) => join(directory, name)) as [
        string,
        string,
      ];
      mkdirSync(jobs);
      mkdirSync(caches);
      chownSync(caches, USER, USER);
      const own = [1, 2].map((number) => join(caches, `own${number}`));
      const roots = [1, 2].map((number) => join(directory, `root${number}`));
      for (const path of [...own, ...roots]) writeFileSync(path, "tickets", { mode: 0o600 });
      for (const path of own) chownSync(path, USER, USER);
      const recorded = [roots[0]!, own[0]!, "NOSUCHTYPE:x", own[1]!, roots[1]!];
      for (const [step, name] of recorded.entries()) {
        writeFileSync(join(jobs, `17.${step}`), `${name.replace(/^\//, "FILE:/")}\n`);
      }
      symlinkSync(join(directory, "root1"), join(jobs, "17.link"));
      writeFileSync(join(jobs, "170"), "of another job");

      const words = ["clean", `--uid=${USER}`, "--job=17", `--jobs=${jobs}`];
      const [program, ...args] = [...PROGRAM, "auks-step", ...words];
      const { status, stdout, stderr } = spawnSync(program!, args, { encoding: "utf8" });
      assert.equal(status, 1, stderr);
      assert.deepEqual(stdout.trim().split("\n").sort(), own.map((path) => `FILE:${path}`));
      const lines = stderr.trim().split("\n").sort();
      assert.equal(lines.length, 4, stderr);
      assert.match(lines[0]!, /17\.link: Too many levels of symbolic links/);
      assert.match(stderr, /FILE:.*root1: .*permissions incorrect/);
      assert.match(stderr, /FILE:.*root2: .*permissions incorrect/);
      assert.match(stderr, /NOSUCHTYPE/);
      assert.deepEqual(readdirSync(jobs), ["170"]);
      assert.deepEqual(readdirSync(caches), []);
      for (const path of roots) assert.equal(readFileSync(path, "utf8"), "tickets");
    });
  });
});

suite(
  "becoming a user",
  { root: process.getuid!() === 0, Linux: process.platform === "linux" },
  () => {
    it("leaves no ID of the old user in any thread, and no way back", () => {
      const script = `
      const { becomeUser } = await import("${resolve("lib/os/identity.ts")}");
      const { readFileSync, readdirSync } = await import("node:fs");
      becomeUser(4000000001, 4000000002);
      for (const task of readdirSync("/proc/self/task")) {
        const status = readFileSync("/proc/self/task/" + task + "/status", "utf8");
        console.log(status.match(/^(Uid|Gid|Groups|CapEff|CapPrm):.*$/gm).join("|").replace(/\\s+/g, " "));
      }
      try { becomeUser(0, 0); console.log("back"); } catch (error) { console.log(error.message); }`;
      const { stdout, stderr } = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
      const lines = stdout.trim().split("\n");
      assert.match(lines.pop() ?? "", /Operation not permitted/, stdout + stderr);
      assert(lines.length > 1, "the runtime has threads");
      const ids = (id: number) => Array(4).fill(id).join(" ");
      const expected = `Uid: ${ids(4000000001)}|Gid: ${ids(4000000002)}|Groups: 4000000002 |` +
        "CapPrm: 0000000000000000|CapEff: 0000000000000000";
      assert.deepEqual([...new Set(lines)], [expected]);
    });
  },
);
