// munged's own files: key, PID file and seed.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { test } from "node:test";
import assert from "node:assert/strict";
import { readKeyFile } from "../../../lib/keys/file.ts";
import { lockPath, lockSocket, removeLock } from "../../../daemon/process/lock_file.ts";
import { removePidFile, writePidFile } from "../../../daemon/process/pid_file.ts";
import { readSeedFile, writeSeedFile } from "../../../daemon/munged/seed_file.ts";
import { withDirectory } from "../../harness/scratch.ts";
import { memoryLogger } from "../memory_logger.ts";

const rules = { force: false, trustedGroup: null };

function modeOf(path: string): number {
  return statSync(path).mode & 0o7777;
}

test("readKeyFile() returns a key of at least 32 bytes", () => {
  withDirectory((directory) => {
    const path = `${directory}/key`;
    const key = crypto.getRandomValues(new Uint8Array(32));
    writeFileSync(path, key, { mode: 0o600 });
    assert.deepEqual(readKeyFile(path, rules, memoryLogger()), key);
    writeFileSync(path, key.subarray(1));
    assert.throws(() => readKeyFile(path, { ...rules, force: true }, memoryLogger()), {
      message: "Keyfile must be at least 32 bytes",
    });
  });
});

test("readKeyFile() follows a link only with --force", () => {
  withDirectory((directory) => {
    writeFileSync(`${directory}/real`, new Uint8Array(64), { mode: 0o600 });
    symlinkSync("real", `${directory}/key`);
    assert.throws(() => readKeyFile(`${directory}/key`, rules, memoryLogger()), /symbolic link/);
    const key = readKeyFile(`${directory}/key`, { ...rules, force: true }, memoryLogger());
    assert.equal(key.length, 64);
  });
});

test("readKeyFile() refuses a file that was replaced after its checks", () => {
  withDirectory((directory) => {
    const path = `${directory}/key`;
    writeFileSync(path, new Uint8Array(64), { mode: 0o640 });
    writeFileSync(`${directory}/other`, new Uint8Array(64), { mode: 0o640 });
    const replacing = { warning: () => renameSync(`${directory}/other`, path) };
    assert.throws(() => readKeyFile(path, { ...rules, force: true }, replacing), {
      message: `Failed to read keyfile "${path}": File changed while it was opened`,
    });
    assert(!existsSync(`${directory}/other`));
  });
});

test("writePidFile() replaces an existing file, and removePidFile() removes it", () => {
  withDirectory((directory) => {
    const path = `${directory}/pid`;
    const logger = memoryLogger();
    symlinkSync("elsewhere", path);
    const umask = process.umask(0o077);
    try {
      writePidFile(path, rules, logger);
    } finally {
      process.umask(umask);
    }
    assert.equal(readFileSync(path, "latin1"), `${process.pid}\n`);
    assert.equal(modeOf(path), 0o644);
    assert.equal(existsSync(`${directory}/elsewhere`), false);
    removePidFile(path, logger);
    assert.equal(existsSync(path), false);
    assert.deepEqual(logger.lines, []);
  });
});

test("writePidFile() only warns if it can't write", () => {
  withDirectory((directory) => {
    const path = `${directory}/pid`;
    mkdirSync(path);
    const logger = memoryLogger();
    writePidFile(path, rules, logger);
    assert.equal(logger.lines.length, 3);
    assert.match(logger.lines[1]!, /^warning: Failed to open PIDfile "/);
  });
});

test("writeSeedFile() writes 1024 fresh private bytes that readSeedFile() accepts", () => {
  withDirectory((directory) => {
    const path = `${directory}/seed`;
    const logger = memoryLogger();
    const without = readSeedFile(path, rules, logger);
    assert.deepEqual(without, { isSecure: true, isSeeded: false });
    assert.deepEqual(logger.lines, []);
    writeSeedFile(path, logger);
    assert.equal(modeOf(path), 0o600);
    const withSeed = readSeedFile(path, rules, logger);
    assert.deepEqual(withSeed, { isSecure: true, isSeeded: true });
    assert.deepEqual(logger.lines, [
      `info: Wrote 1024 bytes to PRNG seed "${path}"`,
      `info: Seeded PRNG with 1024 bytes from "${path}"`,
    ]);
  });
});

test("readSeedFile() removes links, and a seed that others could read", () => {
  withDirectory((directory) => {
    const path = `${directory}/seed`;
    const prepare: [() => void, string][] = [
      [() => {
        writeFileSync(path, "x");
        chmodSync(path, 0o640);
      }, "must not be readable or writable by group (perms=0640)"],
      [() => symlinkSync("nowhere", path), "must not be a symbolic link"],
    ];
    for (const [make, breach] of prepare) {
      const logger = memoryLogger();
      make();
      readSeedFile(path, rules, logger);
      assert.deepEqual(logger.lines, [
        `warning: Ignoring PRNG seed "${path}": ${breach}`,
        `info: Removed insecure PRNG seed "${path}"`,
      ]);
    }
  });
});

test("lockSocket() makes a lock file of mode 0200 and removeLock() removes it", () => {
  withDirectory((directory) => {
    const socketPath = `${directory}/sock`;
    const lock = lockSocket({ socketPath, force: false }, memoryLogger());
    assert.equal(lock.path, lockPath(socketPath));
    assert.equal(modeOf(lock.path), 0o200);
    removeLock(lock, memoryLogger());
    assert.equal(existsSync(lock.path), false);
  });
});

test("lockSocket() refuses links, and a lock file with a different mode", () => {
  withDirectory((directory) => {
    const socketPath = `${directory}/sock`;
    const path = lockPath(socketPath);
    writeFileSync(path, "", { mode: 0o600 });
    assert.throws(() => lockSocket({ socketPath, force: false }, memoryLogger()), {
      message:
        `Failed to validate lockfile: "${path}" should only have permissions for write by user ` +
        "(file mode 0200)",
    });
    assert.equal(lockSocket({ socketPath, force: true }, memoryLogger()).path, path);
    symlinkSync("elsewhere", `${directory}/other.lock`);
    assert.throws(
      () => lockSocket({ socketPath: `${directory}/other`, force: false }, memoryLogger()),
      /^MungeError: Failed to create/,
    );
  });
});
