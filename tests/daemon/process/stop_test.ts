// The socket's lock, and the daemon that is found and stopped by it.
import { closeSync, existsSync, openSync, readFileSync, symlinkSync } from "node:fs";
import { test } from "node:test";
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { lockSocket } from "../../../daemon/process/lock_file.ts";
import { stopDaemon } from "../../../daemon/process/stop.ts";
import { openLibc, ptr } from "../../../lib/os/libc.ts";
import { withDirectory } from "../../harness/scratch.ts";
import { memoryLogger } from "../memory_logger.ts";

const source = fileURLToPath(new URL("../../../daemon/process/lock_file.ts", import.meta.url));

/**
 * Starts a process and waits until it holds the socket's lock. A parent of its own reaps it, as init would, because this
 * process can't while it waits.
 *
 * @param more what else it does; `fd` has the lock.
 */
function startHolder(socketPath: string, more = ""): { pid: number } {
  const held = `${socketPath}.held`;
  const program = `
    const { lockSocket } = await import(${JSON.stringify(source)});
    const fs = require("node:fs");
    const settings = { socketPath: ${JSON.stringify(socketPath)}, force: false };
    const { fd } = lockSocket(settings, { warning() {} });
    ${more}
    fs.writeFileSync(${JSON.stringify(`${held}.part`)}, String(process.pid));
    fs.renameSync(${JSON.stringify(`${held}.part`)}, ${JSON.stringify(held)});
    setInterval(() => {}, 1000);`;
  Bun.spawn(["sh", "-c", '"$0" -e "$1" & wait', process.execPath, program], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const deadline = performance.now() + 60_000;
  while (!existsSync(held) && performance.now() < deadline) Bun.sleepSync(10);
  return { pid: Number(readFileSync(held, "utf8")) };
}

test("lockSocket() names the process that holds the lock, and stopDaemon() stops it", () => {
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

test("stopDaemon() returns only when the process is gone, not when its lock is", () => {
  withDirectory((directory) => {
    const socketPath = `${directory}/sock`;
    const { pid } = startHolder(
      socketPath,
      `process.on("SIGTERM", () => {
        fs.closeSync(fd);
        setTimeout(() => process.exit(0), 700);
      });`,
    );
    assert.equal(stopDaemon({ socketPath, verbose: false }, memoryLogger()), 0);
    assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
  });
});

test("stopDaemon() is silent without --verbose", () => {
  withDirectory((directory) => {
    const logger = memoryLogger();
    assert.equal(stopDaemon({ socketPath: `${directory}/sock`, verbose: false }, logger), 1);
    assert.deepEqual(logger.lines, []);
  });
});

test("stopDaemon() sends no signal if no visible process holds the lock", () => {
  withDirectory((directory) => {
    const socketPath = `${directory}/sock`;
    const fd = openSync(`${socketPath}.lock`, "w", 0o200);
    // A lock of the open file instead of the process: its holder's ID is -1, which kill() takes for all processes.
    const { fcntl } = openLibc({ fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" } });
    const lock = new DataView(new ArrayBuffer(32));
    lock.setInt16(0, 1, true); // F_WRLCK
    const F_OFD_SETLK = 37;
    assert.equal(fcntl(fd, F_OFD_SETLK, ptr(lock)), 0);
    const logger = memoryLogger();
    assert.equal(stopDaemon({ socketPath, verbose: true }, logger), 1);
    assert.match(logger.lines[0]!, /: Lock held by a process that can't be seen from here /);
    closeSync(fd);
  });
});

test("stopDaemon() does not follow a link to another daemon's lock", () => {
  withDirectory((directory) => {
    const holder = startHolder(`${directory}/other`);
    symlinkSync(`${directory}/other.lock`, `${directory}/sock.lock`);
    const logger = memoryLogger();
    assert.equal(stopDaemon({ socketPath: `${directory}/sock`, verbose: true }, logger), 1);
    process.kill(holder.pid, 0);
    process.kill(holder.pid);
  });
});
