// The programs that stand in for libc are always the system's, whatever the caller's PATH.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { localTime, nameServiceRecord } from "../../../lib/os/libc_fallbacks.ts";

const skip = !existsSync("/usr/bin/getent");

test("a program of the same name earlier in PATH is not run", { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), "mungebox-path-"));
  const path = process.env["PATH"];
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
    rmSync(directory, { recursive: true });
  }
});
