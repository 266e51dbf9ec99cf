// mungebox doctor on a healthy node, whether munged is ours or the C one, and how it reports what it has found.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { suite } from "../suite.ts";
import { isRoot, MUNGEBOX, REFERENCE_MUNGED } from "../harness/programs.ts";
import { Site } from "./site.ts";

const hasReference = existsSync(REFERENCE_MUNGED);
const NOBODY = 65_534;

suite("mungebox doctor", { "dist/mungebox": existsSync(MUNGEBOX) }, () => {
  for (
    const [make, program] of [["ours", undefined], ["the C munged", REFERENCE_MUNGED]] as const
  ) {
    it(`finds nothing wrong with a healthy node: ${make}`, {
      skip: program !== undefined && !hasReference,
    }, () => {
      const site = new Site();
      try {
        site.start(program);
        const { status, report } = site.doctor();
        assert.deepEqual(report.cause, null);
        assert.equal(report.verdict, "ok");
        assert.equal(status, 0);
        assert.match(report.fingerprint ?? "", /^[0-9a-f]{16}$/);
        const bad = report.checks.filter(({ verdict }) => !["ok", "note"].includes(verdict));
        assert.deepEqual(bad, []);
      } finally {
        site.close();
      }
    });
  }

  it("tells a munged whose socket has been removed from one that is not running", () => {
    const site = new Site();
    try {
      site.start();
      const found = () => site.doctor().report.checks.find(({ check }) => check === "socket")!.text;
      // Where nothing can be created.
      renameSync(site.state, `${site.state}.real`);
      symlinkSync("nowhere/state", site.state);
      assert.equal(found(), `munged is running, but its socket "${site.socket}" has been removed`);
      rmSync(site.state);
      renameSync(`${site.state}.real`, site.state);
      assert.match(found(), /^munged answers on /);
      site.stop();
      assert.match(found(), /^munged is not running: /);
    } finally {
      site.close();
    }
  });

  it("warns if munged's payload limit is not the configured one", {
    skip: !isRoot && "needs root, to know which program munged is",
  }, () => {
    const site = new Site();
    try {
      site.start();
      const found = (...words: string[]) =>
        site.doctor(...words).report.checks.find(({ check }) => check === "max payload");
      assert.equal(found()?.text, "munged accepts payloads of 1048576 bytes");
      const { verdict, text, fix } = found("--max-payload=4M")!;
      assert.equal(verdict, "warning");
      assert.equal(text, "munged accepts payloads of 1048576 bytes, but is configured for 4194304");
      assert.match(fix!, /munged/);
    } finally {
      site.close();
    }
  });

  it("finds nothing wrong with two munged of both makes under one key", {
    skip: !hasReference,
  }, () => {
    const [ours, theirs] = [new Site(), new Site()];
    try {
      writeFileSync(theirs.keyFile, readFileSync(ours.keyFile));
      ours.start();
      theirs.start(REFERENCE_MUNGED);
      const reports = [ours, theirs].map((site) => site.doctor().report);
      assert.deepEqual(reports.map(({ cause }) => cause), [null, null]);
      assert.equal(reports[0]!.fingerprint, reports[1]!.fingerprint);
    } finally {
      ours.close();
      theirs.close();
    }
  });

  describe("on a healthy node", () => {
    let site: Site;
    before(() => {
      site = new Site();
      site.start();
    });
    after(() => site?.close());

    it("finds where a running munged has its other files", () => {
      const { status, out } = site.shell(
        `mungebox doctor --socket=${site.socket} --key-file=${site.keyFile}`,
      );
      assert.equal(status, 0, out);
    });

    it("does not blame the default key file for a munged that was started with another", () => {
      const insecure = join(site.directory, "insecure.key");
      writeFileSync(insecure, "x".repeat(32));
      chmodSync(insecure, 0o644);
      const options = site.options.filter((option) => !option.startsWith("--key-file="));
      const { status, out } = site.shell(
        `mungebox doctor ${options.join(" ")} --key-file=${insecure}`,
      );
      assert.match(out, /^ok +key +munged was started with the key ".*etc\/munge\.key"$/m);
      assert.equal(status, 0, out);
    });

    it("reports nothing wrong to an unprivileged user", { skip: !isRoot }, () => {
      chmodSync(site.keyDirectory, 0o700);
      const { status, out } = site.shell(`mungebox doctor ${site.options.join(" ")}`, {
        uid: NOBODY,
        gid: NOBODY,
      });
      chmodSync(site.keyDirectory, 0o755);
      assert.equal(status, 0, out);
      assert.match(out, /^skipped +key +You can't read the key/m);
    });

    it("prints the cause and the command that fixes it first", () => {
      chmodSync(site.keyFile, 0o644);
      const { status, out } = site.shell(`mungebox doctor ${site.options.join(" ")}`);
      chmodSync(site.keyFile, 0o600);
      assert.equal(status, 2);
      const [first, second, third] = out.split("\n");
      assert.match(first!, /^Problem: Keyfile is insecure: /);
      assert.equal(second, `  $ chmod 0600 ${site.keyFile}`);
      assert.equal(third, "");
    });
  });

  it("explains the last error in the log of a munged that is not running", () => {
    const site = new Site();
    try {
      appendFileSync(
        site.log,
        '2026-11-21 21:45:16 +0000 Error:     Failed to resolve origin "x": Host not found\n',
      );
      chmodSync(site.log, 0o640);
      const { report } = site.doctor();
      assert.equal(report.cause?.check, "socket");
      const found = report.checks.find(({ check }) => check === "log");
      assert.match(
        found!.text,
        /Failed to resolve origin .* - This host's own name does not resolve/,
      );
    } finally {
      site.close();
    }
  });

  it("finds nothing wrong in a container, whose key comes from a secret", () => {
    const site = new Site();
    const options = site.options.filter((option) => !option.startsWith("--key-file="));
    const daemon = spawn(join(site.bin, "mungebox"), ["container", ...options], {
      stdio: "ignore",
      env: { MUNGE_SECRET: site.keyFile },
    });
    try {
      const words = `--socket=${site.socket}`;
      const awaited = site.shell(
        `for try in $(seq 1200); do mungebox health ${words} && exit; sleep 0.1; done; exit 1`,
      );
      assert.equal(awaited.status, 0, awaited.err);
      const { status, out } = site.shell(
        `mungebox doctor --key-file=${site.directory}/none ${options.join(" ")}`,
      );
      assert.match(out, /^ok +key +munged has its key from the container's secret$/m);
      assert.equal(status, 0, out);
    } finally {
      daemon.kill();
      site.close();
    }
  });

  it("reads nothing that a link in the key's place leads to", () => {
    const site = new Site();
    try {
      renameSync(site.keyFile, `${site.keyFile}.secret`);
      symlinkSync(`${site.keyFile}.secret`, site.keyFile);
      assert.equal(site.doctor().report.fingerprint, null);
    } finally {
      site.close();
    }
  });

  it("ends with status 3 for a mistake on its command line", () => {
    const { status, stderr } = spawnSync(MUNGEBOX, ["doctor", "--nonsense"], { encoding: "utf8" });
    assert.equal(status, 3);
    assert.equal(stderr, 'doctor: Error: Invalid option "--nonsense"\n');
  });
});
