// Every example in lib/auks, run as it stands.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, describe, test } from "node:test";
import { examplesIn, plain, promisedOutput } from "../../package/examples.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const FOLDER = join(ROOT, "lib/auks");

describe("the example", () => {
  const folder = mkdtempSync(join(tmpdir(), "auks-examples-"));
  after(() => rmSync(folder, { recursive: true }));
  const examples = readdirSync(FOLDER).flatMap((name) => examplesIn(join(FOLDER, name)));
  assert(examples.length > 20);

  for (const { place, file, code } of examples) {
    test(`at ${place.slice(ROOT.length + 1)} runs and prints what it says`, () => {
      const path = join(folder, file);
      writeFileSync(path, code.replaceAll('"./lib/', `"${ROOT}/lib/`));
      const promised = promisedOutput(code);
      assert(promised.length > 0, "it promises nothing");
      const output = execFileSync(process.execPath, [path], { cwd: ROOT, encoding: "utf8" });
      const lines = output.trimEnd().split("\n").map(plain);
      assert.deepEqual(lines, promised);
    });
  }
});
