// The kernel's FIPS mode.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isFipsMode } from "../../../lib/os/fips.ts";
import { withDirectory } from "../../harness/scratch.ts";

test("isFipsMode() reads the kernel's flag, which old kernels and other systems don't have", () => {
  withDirectory((directory) => {
    const flag = join(directory, "fips_enabled");
    assert.equal(isFipsMode(flag), false);
    for (
      const [text, enabled] of [["0\n", false], ["1\n", true], ["0", false], ["2\n", true]] as const
    ) {
      writeFileSync(flag, text);
      assert.equal(isFipsMode(flag), enabled, text);
    }
    mkdirSync(join(directory, "unreadable"));
    const unreadable = join(directory, "unreadable");
    assert.throws(() => isFipsMode(unreadable), {
      errno: 1,
      message: `Failed to read "${unreadable}": Is a directory`,
    });
  });
});
