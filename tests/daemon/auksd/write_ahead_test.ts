// Recovery of auksd after a system crash: every complete record is applied, none after a damaged one, and none once
// the files themselves are on disk or another auksd has used the directory.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { CacheDirectory } from "../../../daemon/auksd/cache_directory.ts";
import { readWriteAhead, WriteAhead } from "../../../daemon/auksd/write_ahead.ts";

let directory: string;
const journal = () => join(directory, ".auksd.journal");
const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "mungebox-journal-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("appended records are read back in order, and only the owner can read them", () => {
  const ahead = new WriteAhead(directory);
  ahead.append([{ uid: 1, bytes: bytes(700, 1) }, { uid: 2, bytes: bytes(1, 2) }]);
  ahead.append([{ uid: 1 }]);
  assert.equal(statSync(journal()).mode & 0o777, 0o600);
  assert.deepEqual(readWriteAhead(directory), [
    { uid: 1, bytes: bytes(700, 1) },
    { uid: 2, bytes: bytes(1, 2) },
    { uid: 1 },
  ]);
  ahead.close();
  assert(!existsSync(journal()));
});

test("nothing is accepted from a truncated or altered record on", () => {
  const ahead = new WriteAhead(directory);
  ahead.append([{ uid: 1, bytes: bytes(10, 1) }]);
  const first = 16 + 10 + 32;
  ahead.append([{ uid: 2, bytes: bytes(10, 2) }]);
  const whole = readFileSync(journal());
  for (let at = 0; at < 2 * first; at++) {
    const changed = Buffer.from(whole);
    changed[at]! ^= 1;
    writeFileSync(journal(), changed);
    assert.deepEqual(
      readWriteAhead(directory),
      at < first ? [] : [{ uid: 1, bytes: bytes(10, 1) }],
      `byte ${at}`,
    );
    writeFileSync(journal(), whole.subarray(0, at));
    assert.equal(readWriteAhead(directory).length, at < first ? 0 : 1);
  }
});

test("once the files are on disk nothing remains, not even keys", () => {
  const ahead = new WriteAhead(directory);
  ahead.append([{ uid: 1, bytes: bytes(5000, 0xaa) }]);
  ahead.checkpoint();
  assert.deepEqual(readWriteAhead(directory), []);
  assert(readFileSync(journal()).every((byte) => byte === 0));
  for (let uid = 0; uid < 300; uid++) ahead.append([{ uid, bytes: bytes(16_000, uid) }]);
  const left = readWriteAhead(directory);
  assert(left.length > 0 && left.length < 300);
  assert.equal(left.at(-1)!.uid, 299);
});

test("a start restores missing files, and removes those due for removal", () => {
  writeFileSync(join(directory, "aukscc_3"), "to be removed");
  new WriteAhead(directory).append([
    { uid: 1, bytes: bytes(3, 1) },
    { uid: 2, bytes: bytes(3, 1) },
    { uid: 2, bytes: bytes(3, 2) },
    { uid: 3 },
  ]);
  assert.deepEqual(new CacheDirectory(directory, true).names().sort(), ["aukscc_1", "aukscc_2"]);
  assert.deepEqual([...readFileSync(join(directory, "aukscc_2"))], [2, 2, 2]);
  assert(!existsSync(journal()));
});

test("a file that another auksd has written since is left unchanged", () => {
  new WriteAhead(directory).append([{ uid: 1, bytes: bytes(3, 1) }, {
    uid: 2,
    bytes: bytes(3, 1),
  }]);
  const long = new Date(Date.now() - 60_000);
  utimesSync(journal(), long, long);
  writeFileSync(join(directory, "aukscc_1"), "newer");
  assert.deepEqual(new CacheDirectory(directory, true).names().sort(), ["aukscc_1", "aukscc_2"]);
  assert.equal(readFileSync(join(directory, "aukscc_1"), "utf8"), "newer");
});

test("more than fits the journal is written in batches, and nothing remains when it stops", async () => {
  const cache = new CacheDirectory(directory, true);
  await Promise.all(
    Array.from({ length: 200 }, (_, uid) => cache.write(uid, bytes(32_000, uid))),
  );
  await cache.stop();
  assert(!existsSync(journal()));
  assert.equal(cache.names().length, 200);
  assert.equal(readFileSync(join(directory, "aukscc_199"))[31_999], 199);
});

test("nothing is acknowledged once the directory is gone", () => {
  const ahead = new WriteAhead(directory);
  unlinkSync(journal());
  assert.throws(() => ahead.append([{ uid: 1 }]), /CacheDir has been removed/);
});

test("a full disk costs no descriptor", (t) => {
  if (process.getuid!() !== 0) return t.skip("needs root, to mount a file system");
  const mount = ["-t", "tmpfs", "-o", "size=1m,mode=700", "none", directory];
  if (spawnSync("mount", mount).status !== 0) return t.skip("can't mount a file system here");
  try {
    const openFiles = () => readdirSync("/proc/self/fd").length;
    const before = openFiles();
    for (let tries = 0; tries < 20; tries++) {
      assert.throws(() => new WriteAhead(directory), { code: "ENOSPC" });
    }
    // Others may have been opened or closed meanwhile.
    assert(openFiles() < before + 20);
  } finally {
    spawnSync("umount", [directory]);
  }
});

test("checking CacheDir writes through no link", () => {
  const victim = join(directory, "victim");
  writeFileSync(victim, "kept");
  symlinkSync(victim, join(directory, ".auksd.probe"));
  new CacheDirectory(directory, true).check();
  assert.equal(readFileSync(victim, "utf8"), "kept");
});
