// Where the log goes: its file and the rotation of it, and systemd's journal.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, fstatSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { DEFAULTS } from "../../../daemon/munged/config.ts";
import { createLogger } from "../../../daemon/process/log.ts";
import { openLog, reopenLog } from "../../../daemon/process/log_target.ts";
import { withDirectory } from "../../harness/scratch.ts";
import { memoryLogger } from "../memory_logger.ts";

test("a log file has mode 0640 regardless of the umask, and lines with time and level", () => {
  withDirectory((directory) => {
    const logFile = `${directory}/log`;
    const umask = process.umask(0);
    const target = openLog({ ...DEFAULTS, logFile }, memoryLogger());
    process.umask(umask);
    assert.equal(statSync(logFile).mode & 0o777, 0o640);
    const logger = createLogger(structuredClone(target));
    logger.error("one");
    logger.warning("two");
    logger.notice("three\nforged\u001b[2J");
    logger.info("four");
    logger.debug("unseen");
    const time = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} /gm;
    assert.equal(
      readFileSync(logFile, "utf8").replaceAll(time, "T "),
      "T Error:     one\nT Warning:   two\nT Notice:    three\\x0aforged\\x1b[2J\nT Info:      four\n",
    );
    closeSync(target.fd);
  });
});

test("reopenLog() keeps the descriptor and continues in a new file", () => {
  withDirectory((directory) => {
    const config = { ...DEFAULTS, logFile: `${directory}/log` };
    const target = openLog(config, memoryLogger());
    const logger = createLogger(target);
    logger.info("before");
    renameSync(config.logFile, `${directory}/old`);
    reopenLog(target, config);
    logger.info("after");
    assert.match(readFileSync(`${directory}/old`, "utf8"), /before\n$/);
    assert.match(readFileSync(config.logFile, "utf8"), /^[^\n]*after\n$/);
    closeSync(target.fd);
  });
});

test("a log whose standard error is systemd's journal begins lines with their priority", () => {
  withDirectory((directory) => {
    const log = `${directory}/stderr`;
    const program = `
      import { createLogger } from "${resolve("daemon/process/log.ts")}";
      import { stderrLog } from "${resolve("daemon/process/log_target.ts")}";
      for (const logFormat of ["text", "json"]) {
        const config = { program: "munged", verbose: true, foreground: true, logFormat };
        const logger = createLogger(stderrLog(config));
        for (const level of ["error", "warning", "notice", "info", "debug"]) logger[level]("x");
      }`;
    const lines = (JOURNAL_STREAM: (dev: bigint, ino: bigint) => string) => {
      const fd = openSync(log, "w");
      const { dev, ino } = fstatSync(fd, { bigint: true });
      const { status } = spawnSync(process.execPath, ["--eval", program], {
        stdio: ["ignore", "inherit", fd],
        env: { ...process.env, JOURNAL_STREAM: JOURNAL_STREAM(dev, ino) },
      });
      closeSync(fd);
      assert.equal(status, 0);
      return readFileSync(log, "utf8").trimEnd().split("\n");
    };
    const journal = lines((dev, ino) => `${dev}:${ino}`);
    assert.deepEqual(journal.slice(0, 5), [
      "<3>munged: Error: x",
      "<4>munged: Warning: x",
      "<5>munged: Notice: x",
      "<6>munged: Info: x",
      "<7>munged: Debug: x",
    ]);
    assert.deepEqual(journal.slice(5).map((line) => line.slice(0, 4)), [
      "<3>{",
      "<4>{",
      "<5>{",
      "<6>{",
      "<7>{",
    ]);
    assert.equal(lines((dev, ino) => `${dev}:${ino + 1n}`)[0], "munged: Error: x");
  });
});
