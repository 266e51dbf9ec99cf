// The overflow IDs of a user namespace.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { test } from "node:test";
import { overflowIds, unmappedOverflowId } from "../../../lib/os/user_namespace.ts";

test("unmappedOverflowId() is the overflow ID unless the map has it", () => {
  assert.equal(unmappedOverflowId("         0          0 4294967295\n", 65_534), null);
  assert.equal(unmappedOverflowId("         0       1000          1\n", 65_534), 65_534);
  assert.equal(unmappedOverflowId("0 100000 65536\n", 65_534), null);
  assert.equal(unmappedOverflowId("0 1000 1\n1 100000 65533\n", 65_534), 65_534);
  assert.equal(unmappedOverflowId("0 1000 1\n1 100000 65534\n", 65_534), null);
});

test("overflowIds() are those of the process's namespace", (t) => {
  const module = resolve("lib/os/user_namespace.ts");
  const code = `console.log(JSON.stringify((await import("${module}")).overflowIds()))`;
  const { status, stdout } = spawnSync("unshare", [
    "--user",
    "--map-root-user",
    process.execPath,
    "-e",
    code,
  ]);
  if (status !== 0) return t.skip("no user namespaces here");
  assert.deepEqual(JSON.parse(stdout.toString()), { uid: 65_534, gid: 65_534 });
  assert.deepEqual(overflowIds(), { uid: null, gid: null });
});
