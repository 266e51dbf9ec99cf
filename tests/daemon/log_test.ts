import { closeSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import { test } from "node:test";
import assert from "node:assert/strict";
import { DEFAULTS } from "../../daemon/config.ts";
import { createLogger, openLog, reopenLog } from "../../daemon/log.ts";
import { memoryLogger, withDirectory } from "./scratch.ts";

test("a log file has mode 0640 whatever the umask, and lines with time and level", () => {
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

test("a logger in the foreground names the program", () => {
  withDirectory((directory) => {
    const fd = openSync(`${directory}/stderr`, "w");
    createLogger({ kind: "stderr", fd, program: "munged", verbose: true }).debug("text");
    closeSync(fd);
    assert.equal(readFileSync(`${directory}/stderr`, "utf8"), "munged: Debug: text\n");
  });
});

test("limited() logs one cause once", () => {
  withDirectory((directory) => {
    const fd = openSync(`${directory}/stderr`, "w");
    const logger = createLogger({ kind: "stderr", fd, program: "munged", verbose: false });
    for (let count = 0; count < 3; count++) logger.limited("full", "warning", "full");
    logger.limited("other", "error", "other");
    closeSync(fd);
    const lines = readFileSync(`${directory}/stderr`, "utf8");
    assert.equal(lines, "munged: Warning: full\nmunged: Error: other\n");
  });
});

test("a logger whose descriptor is bad does not throw", () => {
  createLogger({ kind: "file", fd: 12345, program: "munged", verbose: false }).error("text");
  createLogger({ kind: "syslog", fd: 12345, program: "munged", verbose: false }).error("text");
});
