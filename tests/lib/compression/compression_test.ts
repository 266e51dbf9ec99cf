// Round trips, agreement with other implementations, and streams with false lengths.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { deflateSync, inflateSync } from "node:zlib";
import { compress, decompress } from "../../../lib/credential/compression.ts";
import { ZIPS } from "../../../lib/credential/zip.ts";

const [NONE, DEFAULT, BZLIB, ZLIB] = [ZIPS[0]!, ZIPS[1]!, ZIPS[2]!, ZIPS[3]!];
const INVALID = { name: "MungeError", code: "EMUNGE_CRED_INVALID" };

const text = (length: number) =>
  Uint8Array.from(
    { length },
    (_, i) => "credential ".charCodeAt(i % 11) ^ (i % 101 === 0 ? i & 7 : 0),
  );
const random = (length: number) => new Uint8Array(randomBytes(length));
const LENGTHS = [1, 2, 44, 100, 1023, 1024, 65535, 65536, 1_048_576 + 512];

const bzip2Installed = spawnSync("bzip2", ["--help"]).error === undefined;

test("compress() and decompress() refuse types that do not compress", () => {
  for (const zip of [NONE, DEFAULT]) {
    assert.throws(() => compress(zip, text(100)), { code: "EMUNGE_BAD_ZIP" });
    assert.throws(() => decompress(zip, text(100), 100), { code: "EMUNGE_BAD_ZIP" });
  }
});

for (const zip of [BZLIB, ZLIB]) {
  test(`decompress() undoes compress() (${zip.name})`, () => {
    for (const length of LENGTHS) {
      for (const data of [text(length), random(length), new Uint8Array(length)]) {
        const back = decompress(zip, compress(zip, data), length);
        assert.equal(back.constructor, Uint8Array);
        assert.ok(Buffer.from(data).equals(back), `${length}`);
      }
    }
  });

  test(`decompress() treats the stated length as a limit (${zip.name})`, () => {
    for (const length of LENGTHS) {
      const stream = compress(zip, text(length));
      for (const stated of [0, length - 1]) {
        assert.throws(() => decompress(zip, stream, stated), INVALID, `${length} ${stated}`);
      }
      for (const stated of [length + 1, length * 2]) {
        assert.equal(decompress(zip, stream, stated).length, length);
      }
    }
  });

  test(`decompress() refuses every truncation and every flipped byte (${zip.name})`, () => {
    const data = text(500);
    const stream = compress(zip, data);
    for (let length = 0; length < stream.length; length++) {
      assert.throws(() => decompress(zip, stream.subarray(0, length), data.length), INVALID);
    }
    for (let at = 0; at < stream.length; at++) {
      const damaged = stream.slice();
      damaged[at]! ^= 0x55;
      try {
        // A few bits are unused (bzip2's unused selectors, zlib's level); then the data is intact.
        assert.ok(Buffer.from(data).equals(decompress(zip, damaged, data.length)), `byte ${at}`);
      } catch (error) {
        assert.equal((error as { code?: unknown }).code, INVALID.code, `byte ${at}: ${error}`);
      }
    }
  });

  test(`decompress() stops a bomb at the stated length (${zip.name})`, (context) => {
    const bomb = zip === ZLIB
      ? deflateSync(new Uint8Array(1 << 27))
      : bzip2Installed
      ? new Uint8Array(spawnSync("bzip2", ["-9"], { input: new Uint8Array(1 << 27) }).stdout)
      : undefined;
    if (bomb === undefined) return context.skip("bzip2 is not installed");
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 20; i++) assert.throws(() => decompress(zip, bomb, 1 << 20), INVALID);
    assert.ok(process.memoryUsage().rss - before < 64 << 20);
  });
}

test("compress() produces zlib's format, which any zlib can read", () => {
  for (const length of LENGTHS) {
    const data = text(length);
    const stream = compress(ZLIB, data);
    assert.deepEqual([...stream.subarray(0, 2)], [0x78, 0x9c]);
    assert.ok(Buffer.from(data).equals(inflateSync(stream)));
    assert.ok(Buffer.from(data).equals(decompress(ZLIB, deflateSync(data, { level: 9 }), length)));
  }
});

test("the bzip2 program reads compress(), decompress() reads it", (context) => {
  if (!bzip2Installed) return context.skip("bzip2 is not installed");
  for (const length of LENGTHS) {
    const data = text(length);
    const stream = compress(BZLIB, data);
    assert.equal(Buffer.from(stream.subarray(0, 4)).toString(), "BZh9");
    assert.ok(
      Buffer.from(data).equals(
        spawnSync("bzip2", ["-dc"], {
          input: stream,
          maxBuffer: 1 << 24,
        }).stdout,
      ),
    );
    const theirs = spawnSync("bzip2", ["-1c"], { input: data, maxBuffer: 1 << 24 }).stdout;
    assert.ok(Buffer.from(data).equals(decompress(BZLIB, new Uint8Array(theirs), length)));
  }
});

test("bzip2 keeps no memory between calls, even if they fail", () => {
  const data = random(1 << 20);
  const stream = compress(BZLIB, data);
  for (let i = 0; i < 40; i++) {
    assert.throws(() => decompress(BZLIB, stream, data.length - 1), INVALID);
    assert.throws(() => decompress(BZLIB, data, 1 << 20), INVALID);
  }
  assert.ok(Buffer.from(data).equals(decompress(BZLIB, stream, data.length)));
});
