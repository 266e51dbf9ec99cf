// Log lines: their forms, and limits on repeated ones. Where they go is tested in log_target_test.ts.
import { closeSync, fstatSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { test } from "node:test";
import assert from "node:assert/strict";
import { createLogger, type Logger } from "../../../daemon/process/log.ts";
import { createClientLimits } from "../../../daemon/process/client_limits.ts";
import { createLogLimits } from "../../../daemon/process/log_limits.ts";
import { createRecentMessages, recentMessages } from "../../../daemon/process/recent_messages.ts";
import { duplicateOver, openBlockingPipe } from "../../../lib/os/process.ts";
import { openPipe } from "../../../lib/os/socket.ts";
import { withDirectory } from "../../harness/scratch.ts";

const TARGET = {
  program: "munged",
  verbose: false,
  format: "text",
  hasPriorities: false,
  recent: createRecentMessages(),
  limits: createLogLimits(),
  clients: createClientLimits(),
} as const;

test("a JSON line escapes everything unprintable", () => {
  withDirectory((directory) => {
    const fd = openSync(`${directory}/stderr`, "w");
    const logger = createLogger({ ...TARGET, kind: "stderr", fd, format: "json" });
    logger.info("a\x1b[2J\x7f\x9b2J\u202eb\n");
    closeSync(fd);
    const line = readFileSync(`${directory}/stderr`, "utf8");
    assert.match(line, /^[ -~]+\n$/);
    assert.equal(JSON.parse(line).message, "a\x1b[2J\x7f\x9b2J\u202eb\n");
  });
});

test("a logger in the foreground names the program", () => {
  withDirectory((directory) => {
    const fd = openSync(`${directory}/stderr`, "w");
    createLogger({ ...TARGET, kind: "stderr", fd, verbose: true }).debug("text");
    closeSync(fd);
    assert.equal(readFileSync(`${directory}/stderr`, "utf8"), "munged: Debug: text\n");
  });
});

test("limited() logs one cause once", () => {
  withDirectory((directory) => {
    const fd = openSync(`${directory}/stderr`, "w");
    const logger = createLogger({ ...TARGET, kind: "stderr", fd });
    for (let count = 0; count < 3; count++) logger.limited("full", "warning", "full");
    logger.limited("other", "error", "other");
    closeSync(fd);
    const lines = readFileSync(`${directory}/stderr`, "utf8");
    assert.equal(lines, "munged: Warning: full\nmunged: Error: other\n");
  });
});

test("limited() logs a cause once for all threads", () => {
  withDirectory((directory) => {
    const fd = openSync(`${directory}/stderr`, "w");
    const target = { ...TARGET, kind: "stderr", fd, limits: createLogLimits() } as const;
    for (const thread of [target, structuredClone(target)]) {
      createLogger(thread).limited("full", "warning", "full");
    }
    closeSync(fd);
    assert.equal(readFileSync(`${directory}/stderr`, "utf8"), "munged: Warning: full\n");
  });
});

test("a logger reports how many messages were lost while it could not write", () => {
  withDirectory((directory) => {
    const { readEnd, writeEnd } = openPipe(); // as full as a full disk, and does not block
    assert.throws(() => {
      for (;;) writeSync(writeEnd, new Uint8Array(4096));
    });
    const logger = createLogger({ ...TARGET, kind: "file", fd: writeEnd });
    for (let count = 0; count < 3; count++) logger.info("lost");
    const file = openSync(`${directory}/log`, "w");
    duplicateOver(file, writeEnd);
    logger.info("kept");
    for (const fd of [readEnd, writeEnd, file]) closeSync(fd);
    const lines = readFileSync(`${directory}/log`, "utf8").split("\n");
    assert.equal(lines.length, 3);
    assert.match(lines[0]!, /Warning: {3}Lost 3 log messages$/);
    assert.match(lines[1]!, /Info: {6}kept$/);
  });
});

test("a logger does not wait for a reader of standard error that does not read", () => {
  const { readEnd, writeEnd } = openBlockingPipe();
  const logger = createLogger({ ...TARGET, kind: "stderr", fd: writeEnd });
  const started = performance.now();
  for (let count = 0; count < 5_000; count++) logger.info("x".repeat(100));
  assert(performance.now() - started < 30_000);
  assert(readSync(readEnd, new Uint8Array(2 ** 20)) > 0);
  logger.info("read again");
  const rest = new Uint8Array(2 ** 20);
  const text = new TextDecoder().decode(rest.subarray(0, readSync(readEnd, rest)));
  assert.match(text, /^munged: Warning: Lost \d+ log messages\nmunged: Info: read again\n$/);
  closeSync(readEnd);
  closeSync(writeEnd);
});

test("a logger with a bad descriptor does not throw", () => {
  createLogger({ ...TARGET, kind: "file", fd: 12345 }).error("text");
  createLogger({ ...TARGET, kind: "syslog", fd: 12345 }).error("text");
});

/** The output of a logger with a given format. */
function logged(
  format: "text" | "json",
  use: (logger: Logger, size: () => number) => void,
): string {
  let text = "";
  withDirectory((directory) => {
    const fd = openSync(`${directory}/log`, "w");
    const clients = createClientLimits();
    const logger = createLogger({ ...TARGET, clients, kind: "stderr", fd, format });
    use(logger, () => fstatSync(fd).size);
    closeSync(fd);
    text = readFileSync(`${directory}/log`, "utf8");
  });
  return text;
}

test("audit() and client() log ten lines a minute per cause and user, then how many were suppressed", (context) => {
  let now = 1000;
  context.mock.method(process, "hrtime", () => [now, 0]);
  const text = logged("text", (logger) => {
    for (let count = 0; count < 13; count++) {
      logger.audit("Refused", 7, "a", () => ({ uid: count }));
      logger.client(7, "a", `refused ${count}`);
      now++; // so that the limit of bytes per second does not apply
    }
    logger.client(7, "b", "another cause");
    logger.client(8, "a", "another user");
    now += 60;
    logger.audit("Refused", 7, "a", () => ({ uid: 20 }));
    logger.client(7, "a", "refused 20");
    logger.client(7, "a", "refused 21");
  });
  const lines = Array.from({ length: 10 }, (_, count) => [
    `munged: Info: Refused: cause=a uid=${count}`,
    `munged: Info: refused ${count}`,
  ]).flat();
  assert.deepEqual(text.trimEnd().split("\n"), [
    ...lines,
    "munged: Info: another cause",
    "munged: Info: another user",
    "munged: Info: Refused: cause=a uid=20 suppressed=3",
    "munged: Info: refused 20 (3 more like it were not logged)",
    "munged: Info: refused 21",
  ]);
});

test("whatever clients do, they cause at most 10 kB of log within any second", (context) => {
  let now = 0; // in milliseconds
  context.mock.method(process, "hrtime", () => [1000 + Math.floor(now / 1000), now % 1000 * 1e6]);
  const sizes: { at: number; bytes: number }[] = [];
  const text = logged("text", (logger, size) => {
    for (; now < 20_000; now += 10) {
      for (let uid = 0; uid < 30; uid++) {
        const bytes = 40 + (uid * 97 + now) % 1000;
        logger.client(uid + now, "a", "x".repeat(bytes));
        logger.audit("Refused", uid + now, "a", () => ({ realm: "\u001b".repeat(bytes) }));
      }
      sizes.push({ at: now, bytes: size() });
    }
  });
  const total = Buffer.byteLength(text);
  assert.ok(total > 20 * 2_500, `${total} bytes: the log is still useful`);
  for (const { at, bytes } of sizes) {
    const later = sizes.findLast((size) => size.at <= at + 1_000)!;
    assert.ok(later.bytes - bytes <= 10_000, `${later.bytes - bytes} bytes after ${at} ms`);
  }
});

test("a JSON log has one object per line, whatever the text contains", () => {
  const text = logged("json", (logger) => {
    logger.warning('a "text"\nwith lines');
    logger.audit("Refused", 1, "a", () => ({ uid: 1, realm: "x" }));
  });
  const [first, second] = text.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.equal(first.level, "warning");
  assert.equal(first.message, 'a "text"\nwith lines');
  assert.equal(first.pid, process.pid);
  assert.match(first.time, /^\d{4}-\d\d-\d\dT.*Z$/);
  const { message, cause, uid, realm } = second;
  assert.deepEqual({ message, cause, uid, realm }, {
    message: "Refused",
    cause: "a",
    uid: 1,
    realm: "x",
  });
});

test("only the last errors and warnings are remembered, the newest first", () => {
  const recent = createRecentMessages();
  const logger = createLogger({ ...TARGET, recent, kind: "file", fd: 12345 });
  logger.info("unimportant");
  for (let count = 0; count < 20; count++) logger.error(`error ${count} \u{1F600}`);
  logger.warning("x".repeat(2000));
  const messages = recentMessages(recent);
  assert.equal(messages.length, 16);
  assert(messages.some(({ level, text }) => level === "error" && text === "error 19 \u{1F600}"));
  assert(messages.some(({ level, text }) => level === "warning" && /^x{400,512}$/.test(text)));
  assert(messages.every(({ text }) => text !== "unimportant"));
});

test("audit() keeps a client's value from looking like other fields", () => {
  withDirectory((directory) => {
    const fd = openSync(`${directory}/log`, "w");
    const logger = createLogger({ ...TARGET, kind: "file", fd });
    logger.audit("Refused", 1, "bad_realm", () => ({ claimed_realm: 'x uid=0 cause="none"' }));
    closeSync(fd);
    const line = readFileSync(`${directory}/log`, "utf8");
    assert.match(line, / claimed_realm="x uid=0 cause=\\"none\\""$/m);
  });
});
