// The programs that stand in for libc are always the system's, whatever the caller's PATH.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { localTime, nameServiceRecord } from "../../../lib/os/libc_fallbacks.ts";
import { withDirectory } from "../../harness/scratch.ts";

const skip = !existsSync("/usr/bin/getent");

test("a program of the same name earlier in PATH is not run", { skip }, () => {
  const path = process.env["PATH"];
  withDirectory((directory) => {
    try {
      for (const name of ["getent", "date"]) {
        writeFileSync(join(directory, name), "#!/bin/sh\necho root:x:666:666::/:/bin/sh\n", {
          mode: 0o755,
        });
      }
      process.env["PATH"] = `${directory}:${path}`;
      assert.equal(nameServiceRecord("passwd", "root")?.[2], "0");
      assert.equal(localTime(0, "%s"), "0");
    } finally {
      process.env["PATH"] = path;
    }
  });
});
