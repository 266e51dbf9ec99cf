import { existsSync } from "node:fs";
import { test } from "node:test";
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { lockSocket } from "../../daemon/lock_file.ts";
import { stopDaemon } from "../../daemon/stop.ts";
import { memoryLogger, withDirectory } from "./scratch.ts";

const source = fileURLToPath(new URL("../../daemon/lock_file.ts", import.meta.url));

/** A process that holds the socket's lock, once this returns. */
function startHolder(socketPath: string): { pid: number } {
  const program = `
    const { lockSocket } = await import(${JSON.stringify(source)});
    lockSocket({ socketPath: ${JSON.stringify(socketPath)}, force: false }, { warning() {} });
    require("node:fs").writeFileSync(${JSON.stringify(`${socketPath}.held`)}, "");
    setInterval(() => {}, 1000);`;
  const child = Bun.spawn([process.execPath, "-e", program], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const deadline = performance.now() + 10_000;
  while (!existsSync(`${socketPath}.held`) && performance.now() < deadline) Bun.sleepSync(10);
  return child;
}

test("lockSocket() names the process that holds the lock, and stopDaemon() ends it", () => {
  withDirectory((directory) => {
    const socketPath = `${directory}/sock`;
    const { pid } = startHolder(socketPath);
    assert.throws(() => lockSocket({ socketPath, force: false }, memoryLogger()), {
      message: `Failed to lock "${socketPath}.lock": pid ${pid} bound to socket "${socketPath}"`,
    });
    const logger = memoryLogger();
    assert.equal(stopDaemon({ socketPath, verbose: true }, logger), 0);
    assert.deepEqual(logger.lines, [
      `notice: Terminated daemon bound to socket "${socketPath}" (pid ${pid})`,
    ]);
    assert.equal(stopDaemon({ socketPath, verbose: true }, logger), 1);
    assert.equal(
      logger.lines[1],
      `error: Failed to query socket lockfile "${socketPath}.lock": Lock not held ` +
        "(Cannot find running process)",
    );
  });
});

test("stopDaemon() says nothing without --verbose", () => {
  withDirectory((directory) => {
    const logger = memoryLogger();
    assert.equal(stopDaemon({ socketPath: `${directory}/sock`, verbose: false }, logger), 1);
    assert.deepEqual(logger.lines, []);
  });
});
