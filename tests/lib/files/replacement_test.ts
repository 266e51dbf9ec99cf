// Files that appear complete or not at all.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { test } from "node:test";
import {
  abandonReplacement,
  commitReplacement,
  createReplacement,
  replaceFile,
} from "../../../lib/files/replacement.ts";
import { withDirectory } from "../../harness/scratch.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

test("replaceFile() creates or replaces a file, with its mode whatever the umask, and leaves nothing else", () => {
  withDirectory((directory) => {
    const path = `${directory}/file`;
    const umask = process.umask(0o777);
    try {
      for (const [text, mode] of [["one", 0o600], ["two", 0o644]] as const) {
        replaceFile(path, bytes(text), { mode, isDurable: mode === 0o600 });
        assert.equal(readFileSync(path, "utf8"), text);
        assert.equal(statSync(path).mode & 0o7777, mode);
      }
    } finally {
      process.umask(umask);
    }
    assert.deepEqual(readdirSync(directory), ["file"]);
  });
});

test("replaceFile() leaves an existing file alone where a new one is required", () => {
  withDirectory((directory) => {
    const path = `${directory}/file`;
    replaceFile(path, bytes("one"), { mode: 0o600, isNew: true });
    assert.throws(() => replaceFile(path, bytes("two"), { mode: 0o600, isNew: true }), {
      name: "SystemError",
      message: /File exists/,
    });
    assert.equal(readFileSync(path, "utf8"), "one");
    assert.deepEqual(readdirSync(directory), ["file"]);
  });
});

test("replaceFile() replaces a link, but neither a FIFO nor a device", () => {
  withDirectory((directory) => {
    symlinkSync("elsewhere", `${directory}/link`);
    replaceFile(`${directory}/link`, bytes("x"), { mode: 0o600 });
    assert(lstatSync(`${directory}/link`).isFile());
    execFileSync("mkfifo", [`${directory}/fifo`]);
    assert.throws(
      () => replaceFile(`${directory}/fifo`, bytes("x"), { mode: 0o600 }),
      { message: "It is not a regular file" },
    );
    assert(lstatSync(`${directory}/fifo`).isFIFO());
    assert.deepEqual(readdirSync(directory).toSorted(), ["fifo", "link"]);
  });
});

test("a failed replaceFile() leaves everything as it was", () => {
  withDirectory((directory) => {
    mkdirSync(`${directory}/target`);
    assert.throws(() => replaceFile(`${directory}/target`, bytes("x"), { mode: 0o600 }), /EISDIR/);
    assert.throws(
      () => replaceFile(`${directory}/none/file`, bytes("x"), { mode: 0o600 }),
      /ENOENT/,
    );
    assert.deepEqual(readdirSync(directory), ["target"]);
  });
});

test("a replacement has no name until it is complete, and one that is given up leaves nothing", () => {
  withDirectory((directory) => {
    const path = `${directory}/file`;
    writeFileSync(path, "old");
    const replacement = createReplacement(path, 0o600);
    assert.deepEqual(readdirSync(directory), ["file"]);
    abandonReplacement(replacement);
    const other = createReplacement(path, 0o600);
    commitReplacement(other);
    assert.equal(readFileSync(path, "utf8"), "");
    assert.deepEqual(readdirSync(directory), ["file"]);
  });
});

test("a file left by an earlier process with our PID is no obstacle", () => {
  withDirectory((directory) => {
    const path = `${directory}/file`;
    writeFileSync(`${path}.${process.pid}.tmp`, "left over");
    chmodSync(`${path}.${process.pid}.tmp`, 0o000);
    replaceFile(path, bytes("new"), { mode: 0o600 });
    assert.equal(readFileSync(path, "utf8"), "new");
    assert.deepEqual(readdirSync(directory), ["file"]);
  });
});

test("where the file system requires names, an incomplete file has one", () => {
  withDirectory((directory) => {
    const path = `${directory}/file`;
    for (const isNew of [true, false]) {
      abandonReplacement(createReplacement(path, 0o600, null));
      const replacement = createReplacement(path, 0o600, null);
      assert.ok(readdirSync(directory).includes(`file.${process.pid}.tmp`));
      writeSync(replacement.fd, `${isNew}`);
      commitReplacement(replacement, { isNew });
      assert.equal(readFileSync(path, "utf8"), `${isNew}`);
      assert.deepEqual(readdirSync(directory), ["file"]);
    }
    const late = createReplacement(path, 0o600, null);
    assert.throws(() => commitReplacement(late, { isNew: true }), /EEXIST/);
    assert.deepEqual(readdirSync(directory), ["file"]);
  });
});
