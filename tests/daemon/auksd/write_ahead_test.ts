// What auksd makes good after a crash of the machine: every whole record, none behind a damaged one, and nothing
// once the files themselves are on disk or another auksd has used the directory.
import assert from "node:assert/strict";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
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

test("what was appended is there, in order, for the owner's eyes only", () => {
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

test("a record that is cut or changed ends what is believed", () => {
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

test("once the files are on disk nothing is left, of the keys neither", () => {
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

test("a start makes good what is missing, and removes what was to go", () => {
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

test("a file that another auksd has written since stays as it is", () => {
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

test("more at once than the journal takes is written in turns, and nothing is left when it stops", async () => {
  const cache = new CacheDirectory(directory, true);
  await Promise.all(
    Array.from({ length: 200 }, (_, uid) => cache.write(uid, bytes(32_000, uid))),
  );
  await cache.stop();
  assert(!existsSync(journal()));
  assert.equal(cache.names().length, 200);
  assert.equal(readFileSync(join(directory, "aukscc_199"))[31_999], 199);
});

test("nothing is acknowledged in a directory that has gone", () => {
  const ahead = new WriteAhead(directory);
  unlinkSync(journal());
  assert.throws(() => ahead.append([{ uid: 1 }]), /CacheDir has been removed/);
});
