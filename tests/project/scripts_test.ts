// The help of the scripts that install and package: their opening comment, which must name every option that they take.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { it } from "node:test";

const ROOT = resolve(import.meta.dirname, "../..");

for (const name of ["install", "package", "image"]) {
  it(`scripts/${name} --help explains every option, and does nothing else`, () => {
    const path = join(ROOT, "scripts", name);
    const { status, stdout, stderr } = spawnSync(path, ["--help"], { encoding: "utf8", cwd: "/" });
    assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
    assert(stdout.includes(`  scripts/${name} `), stdout);
    const options = readFileSync(path, "utf8").matchAll(/^ +(--[a-z0-9-]+)=?\*?\) /gm);
    for (const [, option] of options) {
      if (option === "--help") continue;
      // In the synopsis, and in a sentence.
      assert(stdout.split(option!).length > 2, `${option}\n${stdout}`);
    }
  });
}
