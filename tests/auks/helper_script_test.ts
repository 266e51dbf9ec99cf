// How HelperScript runs: its environment, and what is said if it can't.
import assert from "node:assert/strict";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { runHelperScript } from "../../lib/auks_client/helper_script.ts";
import { withDirectory } from "../harness/scratch.ts";

it("HelperScript gets the user's variables, and none of the runtime's settings", async () => {
  await withDirectory(async (directory) => {
    const script = join(directory, "helper");
    const output = join(directory, "output");
    writeFileSync(script, `#!/bin/sh\nenv >${output}\n`);
    chmodSync(script, 0o755);
    const added = { BUN_DISABLE_X: "1", MIMALLOC_X: "1", OF_THE_USER: "1" };
    Object.assign(process.env, added);
    try {
      assert.equal(await runHelperScript(script, "FILE:/tmp/x", "renewed"), undefined);
    } finally {
      for (const name of Object.keys(added)) delete process.env[name];
    }
    const variables = readFileSync(output, "latin1");
    for (const line of ["OF_THE_USER=1", "AUKS_EVENT=renewed", "KRB5CCNAME=FILE:/tmp/x"]) {
      assert(variables.split("\n").includes(line), line);
    }
    assert.doesNotMatch(variables, /^(BUN|MIMALLOC)_/m);
  });
});

it("a HelperScript that can't be run is reported in the system's words", async () => {
  await withDirectory(async (directory) => {
    const script = join(directory, "helper");
    writeFileSync(script, "#!/no/such/shell\n");
    chmodSync(script, 0o755);
    const failure = await runHelperScript(script, undefined, "renewed");
    assert.equal(failure, `${script}: No such file or directory`);
  });
});
