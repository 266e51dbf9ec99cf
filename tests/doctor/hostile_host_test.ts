// mungebox doctor HOST against hosts that lie, flood and send escape sequences: a program stands in for ssh, and
// says what it likes.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { suite } from "../suite.ts";
import { sealCredential } from "../../lib/offline/offline.ts";
import { MIB, runWatched } from "../harness/memory.ts";
import { MUNGEBOX } from "../harness/programs.ts";
import { type Report, Site } from "./site.ts";

const HOSTILE = "\x1b]52;c;Zm9v\x07\x1b[2J\x9b31m\u202e";
/** Bytes of memory that doctor may take for all of it. */
const MEMORY = 200 * MIB;

suite("mungebox doctor HOST against a hostile host", {
  "dist/mungebox": existsSync(MUNGEBOX),
}, () => {
  let site: Site;

  before(() => {
    site = new Site();
    site.start();
  });
  after(() => site?.close());

  /** Runs doctor with a script in the place of ssh. */
  function examine(script: string, ...words: string[]) {
    const ssh = join(site.directory, "ssh");
    writeFileSync(ssh, `#!/bin/sh\n${script}`, { mode: 0o755 });
    const { status, out, err } = site.shell(
      `mungebox doctor --ssh=${ssh} ${site.options.join(" ")} ${words.join(" ")}`,
    );
    assert(status !== null && status < 3, err);
    assert.match(out, /^[ -~\n]*$/, "not printable");
    return { status, out };
  }

  /** What a host reports, field by field; the rest is as from an honest one. */
  function answer(fields: Readonly<Record<string, string>>): string {
    const good = {
      time: "$(date +%s)",
      version: "munge-0.5.18 (mungebox 0.1.0)",
      doctor: "{}",
      encode: `0 $(munge -n --socket=${site.socket})`,
      decode: "0 ",
    };
    const lines = Object.entries({ ...good, ...fields }).map(([name, value]) =>
      `printf '%s\\n' "${name} ${value.replaceAll('"', '\\"')}"\n`
    );
    return `cat >/dev/null\n${lines.join("")}`;
  }

  /** The finding about the host. */
  function findingOf(script: string, host = "far"): Report["hosts"][number] {
    const { out } = examine(script, "--json", host);
    return (JSON.parse(out) as Report).hosts[0]!;
  }

  it("recognizes an honest one", () => {
    assert.equal(findingOf(answer({})).verdict, "ok");
  });

  it("shows escape sequences, wherever they are", () => {
    const report = JSON.stringify({ cause: { verdict: "problem", text: HOSTILE, fix: HOSTILE } })
      .replaceAll("\\", "\\\\\\\\").replaceAll("\x1b", "\\\\\\\\u001b");
    for (
      const script of [
        answer({ version: HOSTILE }),
        answer({ encode: `1 ${HOSTILE}` }),
        answer({ doctor: report }),
        answer({ time: HOSTILE }),
        `cat >/dev/null; printf '%s\\n' '${HOSTILE}' >&2; exit 255`,
      ]
    ) {
      examine(script, "far");
      examine(script, "--json", "far");
    }
  });

  it("keeps the report when a field is invalid", () => {
    const fields = [
      '{"fingerprint":{},"cause":{"verdict":"problem","text":["x"]}}',
      '{"cause":7}',
      "[]",
      "null",
      "not JSON",
      '{"fingerprint":"0123456789abcdeg","cause":{"verdict":"fatal","text":"x"}}',
    ];
    for (const doctor of fields) {
      const { verdict, fingerprint } = findingOf(answer({ doctor }));
      assert.equal(verdict, "ok", doctor);
      assert.equal(fingerprint, undefined);
    }
    assert.equal(findingOf(answer({ time: "1e99" })).verdict, "problem");
    assert.equal(findingOf(answer({ encode: "0 no credential" })).verdict, "problem");
  });

  it("bounds what it reads of an answer", async () => {
    const flood = "cat >/dev/null; head -c 300000000 /dev/zero | tr '\\\\0' A";
    for (const script of [flood, `${flood} >&2; exit 255`]) {
      const { out } = examine(script, "far");
      assert.match(out, /^problem +far +far can't be reached over ssh: /m);
    }
    const ssh = join(site.directory, "ssh");
    writeFileSync(ssh, `#!/bin/sh\n${flood}`, { mode: 0o755 });
    const command = [join(site.bin, "mungebox"), "doctor", `--ssh=${ssh}`, ...site.options, "far"];
    const { peak } = await runWatched(command);
    assert.ok(peak > 0 && peak < MEMORY, `${peak} bytes`);
  });

  it("never advises moving a key, whatever a host claims", async () => {
    const foreign = await sealCredential({ uid: 0, gid: 0 }, new Uint8Array(32));
    const refused = { decode: "14 unmunge: Error: Invalid credential" };
    const claims = [
      answer({ ...refused, encode: `0 ${foreign}` }),
      answer({ encode: `0 ${foreign}` }),
      answer(refused),
      answer({ ...refused, encode: "0 MUNGE:AwQFAACkQUFB:" }),
      answer({ encode: "0 MUNGE:AwQFAACkQUFB:", doctor: '{"fingerprint":"0123456789abcdef"}' }),
    ];
    for (const claim of claims) {
      const { verdict, fix } = findingOf(claim);
      assert.equal(verdict, "problem");
      assert.doesNotMatch(fix ?? "", /munge\.key|scp|mungekey/);
    }
    const { out } = examine(claims.at(-1)!, "--json", "far", "farther");
    for (const { fix } of (JSON.parse(out) as Report).hosts) assert.equal(fix, undefined);
  });

  it("compares fingerprints before it believes that a key differs", () => {
    const { report } = site.doctor();
    const finding = findingOf(
      answer({
        decode: "14 unmunge: Error: Invalid credential",
        doctor: `{"fingerprint":"${report.fingerprint}"}`,
      }),
    );
    assert.match(finding.text, /though it says that it has the same key$/);
  });

  it("quotes a host's name in commands", () => {
    const host = "far;touch${IFS}x";
    const { fix } = findingOf("exit 255", `'${host}'`);
    assert.equal(fix, `ssh '${host}' date`);
  });

  it("sends no credential that others could use", () => {
    const script = `
      sed -n "s/.*echo '*\\(MUNGE:[^ ']*\\).*/\\1/p" >${site.directory}/sent
      exit 255`;
    examine(script, "far");
    const { out } = site.shell(
      `unmunge --socket=${site.socket} -k UID_RESTRICTION <${site.directory}/sent`,
    );
    assert.match(out, new RegExp(`^UID_RESTRICTION: .*\\(?${process.geteuid!()}\\)?`));
  });
});
