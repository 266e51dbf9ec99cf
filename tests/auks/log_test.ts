// Lines of the log, as scripts read them.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createAuksLog } from "../../daemon/process/auks_log.ts";

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), "mungebox-auks-log-"));
});
after(() => rmSync(directory, { recursive: true }));

describe("createAuksLog()", () => {
  const complaints: string[] = [];
  const open = (path: string, info: number, debug = 0) =>
    createAuksLog({ kind: "file", path }, { info, debug }, (text) => complaints.push(text));

  it("writes lines up to its level, in the original's format", () => {
    const path = join(directory, "log");
    const log = open(path, 2, 1);
    log.info(2, "renewer: sleeping 60 seconds before next renew");
    log.info(3, "not wanted");
    log.debug(1, "debug\nforged line");
    const [first, second, rest] = readFileSync(path, "utf8").split("\n");
    const ctime = "[A-Z][a-z]{2} [A-Z][a-z]{2} [ \\d]\\d \\d\\d:\\d\\d:\\d\\d \\d{4}";
    assert.match(
      first!,
      new RegExp(
        `^${ctime} \\[INFO2\\] \\[euid=${process.geteuid!()},pid=${process.pid}\\] ` +
          "renewer: sleeping 60 seconds before next renew$",
      ),
    );
    assert.match(second!, new RegExp(`^${ctime} \\[DBUG1\\] debug\\\\x0aforged line$`));
    assert.equal(rest, "");
  });

  it("opens no file at level 0", () => {
    const path = join(directory, "unused");
    open(path, 0).info(1, "nothing");
    assert(!existsSync(path));
  });

  it("follows logrotate, but no link", () => {
    const path = join(directory, "rotated");
    const log = open(path, 1);
    log.info(1, "before");
    renameSync(path, `${path}.1`);
    log.reopen();
    log.info(1, "after");
    assert.match(readFileSync(path, "utf8"), /^[^\n]* after\n$/);
    const link = join(directory, "link");
    symlinkSync(path, link);
    const refused = open(link, 1);
    refused.info(1, "led astray");
    refused.info(1, "led astray again");
    assert.deepEqual(complaints, [`${link}: Too many levels of symbolic links`]);
    assert.doesNotMatch(readFileSync(path, "utf8"), /astray/);
  });
});
