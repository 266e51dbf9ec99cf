// Replacement of users' files: a name always has one complete file, and a reader keeps the one that it has opened.
import assert from "node:assert/strict";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { CacheDirectory } from "../../../daemon/auksd/cache_directory.ts";
import { CacheFiles, type Safety } from "../../../daemon/auksd/cache_file.ts";

const SAFETIES: readonly Safety[] = ["journal", "flush", "none"];
const USER = 2001;

let directory: string;
const path = () => join(directory, `aukscc_${USER}`);
const names = () => readdirSync(directory).sort();
const hidden = () => names().filter((name) => name.startsWith("."));
const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "mungebox-files-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

for (const safety of SAFETIES) {
  test(`${safety}: the new file has only its own contents, and readers of the old one still see all of it`, () => {
    const files = new CacheFiles(directory);
    files.replace(USER, bytes(900, 1), safety);
    const opened = openSync(path(), "r");
    files.prepare();
    for (const [length, value] of [[50, 2], [4000, 3], [1, 4]] as const) {
      files.replace(USER, bytes(length, value), safety);
      assert.deepEqual(new Uint8Array(readFileSync(path())), bytes(length, value));
      assert.equal(statSync(path()).mode & 0o777, 0o600);
      files.prepare();
    }
    assert.deepEqual(new Uint8Array(readFileSync(opened)), bytes(900, 1));
    closeSync(opened);
    files.close();
    assert.deepEqual(names(), [`aukscc_${USER}`]);
  });

  test(`${safety}: what can't be replaced stays, and is reported`, () => {
    const files = new CacheFiles(directory);
    mkdirSync(path());
    writeFileSync(join(path(), "kept"), "");
    assert.throws(() => files.replace(USER, bytes(9, 1), safety), { code: /EISDIR|ENOTEMPTY/ });
    files.replace(1, bytes(9, 1), safety);
    files.close();
    assert.deepEqual(names(), ["aukscc_1", `aukscc_${USER}`]);
    assert(existsSync(join(path(), "kept")));
  });
}

test("a journaled file exchanges its name with the old one, which goes afterwards", (t) => {
  const files = new CacheFiles(directory);
  files.replace(USER, bytes(5, 1), "journal");
  assert.deepEqual(hidden(), []);
  files.replace(USER, bytes(5, 2), "journal");
  const [old] = hidden();
  if (old === undefined) return t.skip("this system can't exchange names");
  assert.deepEqual(new Uint8Array(readFileSync(join(directory, old))), bytes(5, 1));
  files.prepare();
  assert(!existsSync(join(directory, old)));
});

test("without a journal, the old file is replaced by a rename, as its contents might not reach the disk otherwise", () => {
  const files = new CacheFiles(directory);
  files.replace(USER, bytes(5, 1), "none");
  files.replace(USER, bytes(5, 2), "none");
  assert.deepEqual(hidden(), []);
});

test("a prepared file that has been removed is created again", () => {
  const files = new CacheFiles(directory);
  files.prepare();
  for (const name of hidden()) unlinkSync(join(directory, name));
  files.replace(USER, bytes(5, 1), "journal");
  assert.deepEqual(names(), [`aukscc_${USER}`]);
});

test("a name left by an earlier thread is taken over, and a link is not followed", () => {
  const kept = join(directory, "kept");
  writeFileSync(kept, "kept");
  writeFileSync(join(directory, ".aukscc_1.new"), "unfinished", { mode: 0o644 });
  symlinkSync(kept, join(directory, ".aukscc_2.new"));
  const files = new CacheFiles(directory);
  files.replace(1, bytes(5, 1), "none");
  files.replace(USER, bytes(5, 2), "none");
  assert.deepEqual(new Uint8Array(readFileSync(join(directory, "aukscc_1"))), bytes(5, 1));
  assert.equal(statSync(join(directory, "aukscc_1")).mode & 0o777, 0o600);
  assert.deepEqual(new Uint8Array(readFileSync(path())), bytes(5, 2));
  assert.equal(readFileSync(kept, "latin1"), "kept");
  assert.deepEqual(hidden(), []);
});

test("what a killed auksd has left beside the users' files is removed at the next start", () => {
  const files = new CacheFiles(directory);
  files.replace(USER, bytes(5, 1), "journal");
  files.replace(USER, bytes(5, 2), "journal");
  writeFileSync(join(directory, ".aukscc_9.new"), "unfinished");
  assert.deepEqual(new CacheDirectory(directory, true).names(), [`aukscc_${USER}`]);
  assert.deepEqual(names(), [`aukscc_${USER}`]);
});
