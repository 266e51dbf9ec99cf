// The test command leaves nothing running when it is ended.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";

const options = { skip: process.platform !== "linux" && "needs /proc" };

/** The processes that a test command has started, and that still run. */
function startedBy(pid: number): string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      const isOurs = readFileSync(`/proc/${name}/environ`, "latin1")
        .includes(`MUNGEBOX_TEST_RUN=${pid}\0`);
      return isOurs ? [readFileSync(`/proc/${name}/cmdline`, "latin1").replaceAll("\0", " ")] : [];
    } catch {
      return []; // it has ended, or is another user's
    }
  });
}

for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  test(`${signal} for the test command ends its parts`, options, async () => {
    const child = spawn(process.execPath, ["scripts/run_tests.ts", "fuzz"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    for await (const text of child.stdout.setEncoding("utf8")) {
      output += text;
      if (!/^seed \d+$/m.test(output) || child.killed) continue;
      assert.notDeepEqual(startedBy(child.pid!), []);
      child.kill(signal);
    }
    if (child.exitCode === null) await once(child, "exit");
    assert.equal(child.exitCode, status, output);
    assert.match(output, new RegExp(`Ending all parts because of ${signal}\n$`));
    assert.deepEqual(startedBy(child.pid!), []);
  });
}

test("processes outside its group that ignore SIGTERM end, too", options, async () => {
  const program = `import { endAll, run } from "${resolve("scripts/test_processes.ts")}";
    const stubborn = "trap '' TERM; setsid sleep 1000 & echo started; sleep 1000";
    const command = ["sh", "-c", stubborn];
    await new Promise((resolve) => void run(command, {}, resolve));
    await endAll();
    console.log("ended");
    process.exit();`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (text) => output += text);
  const [status] = await once(child, "close");
  assert.equal(output, "ended\n");
  assert.equal(status, 0);
  assert.deepEqual(startedBy(child.pid!), []);
});
