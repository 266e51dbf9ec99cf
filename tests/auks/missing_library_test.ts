// Errors of the clients where libkrb5 can't be loaded: one line, and a non-zero status. What does not need
// Kerberos still works.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { MAIN } from "../harness/programs.ts";

const CONFIG = join(import.meta.dirname, "reference/configs/howto-with-api.conf");

describe("without libkrb5", () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "mungebox-no-krb5-"));
    writeFileSync(join(directory, "libkrb5.so.3"), "not a library");
  });
  after(() => rmSync(directory, { recursive: true }));

  function run(...words: string[]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...words], {
      env: { ...process.env, LD_LIBRARY_PATH: directory, AUKS_CONF: CONFIG },
      encoding: "utf8",
    });
    return { status, stdout, stderr };
  }

  for (
    const [words, status, beginning] of [
      [
        "auks -p",
        6,
        "Auks API request failed : krb5 cred : unable to init context (Failed to load",
      ],
      ["auksdrenewer", 1, "auksdrenewer: Error: Failed to load"],
      ["aukspriv --once", 1, "aukspriv: unable to get ccache for a principal using"],
    ] as const
  ) {
    it(`${words} says so`, () => {
      const result = run(...words.split(" "));
      assert.equal(result.status, status);
      assert.equal(result.stdout, "");
      assert(result.stderr.startsWith(beginning), result.stderr);
      assert.match(
        result.stderr,
        /^[^\n]*libkrb5\.so\.3: .*; install MIT Kerberos 1\.18 or later\)?\n$/,
      );
    });
  }

  it("help and configuration do not need it", () => {
    assert.equal(run("auks", "-h").status, 0);
    assert.equal(run("auksdrenewer", "--help").status, 0);
    assert.match(run("auks", "-f", "/nowhere", "-p").stderr, /unable to parse configuration file/);
    assert.equal(run("munge", "--version").status, 0);
  });
});
