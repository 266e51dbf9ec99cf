// Compression, native and portable: round trips, agreement of all implementations, and streams that lie about
// themselves.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { test } from "node:test";
import { deflateSync, inflateSync } from "node:zlib";
import { dropBzip2Memory } from "../../../lib/compression/bzip2.ts";
import { chooseCompression } from "../../../lib/compression/choice.ts";
import { nativeCompression } from "../../../lib/compression/native.ts";
import { portableCompression } from "../../../lib/compression/portable.ts";
import { ZIPS } from "../../../lib/credential/zip.ts";
import type { MungeError } from "../../../lib/errors.ts";
import { primitives } from "../../../lib/primitives/library.ts";

const [NONE, DEFAULT, BZLIB, ZLIB] = [ZIPS[0]!, ZIPS[1]!, ZIPS[2]!, ZIPS[3]!];
const INVALID = { name: "MungeError", code: "EMUNGE_CRED_INVALID" };

const text = (length: number) =>
  Uint8Array.from(
    { length },
    (_, i) => "credential ".charCodeAt(i % 11) ^ (i % 101 === 0 ? i & 7 : 0),
  );
const random = (length: number) => new Uint8Array(randomBytes(length));
const LENGTHS = [1, 2, 44, 100, 1023, 1024, 65535, 65536, 1_048_576 + 512];

/** Every implementation; the native one has no fallback here. */
const SUPPLIED = {
  native: chooseCompression(nativeCompression),
  portable: chooseCompression(portableCompression),
  library: primitives,
};
/** Compressions that each can undo here: without Bun, nothing native inflates. */
const CODECS = (["native", "portable", "library"] as const).flatMap((name) =>
  [BZLIB, ZLIB].filter((zip) =>
    SUPPLIED[name] === primitives || name === "portable" || zip === ZLIB
  )
    .map((zip) => ({ zip, name, title: `${zip.name}, ${name}`, ...SUPPLIED[name] }))
);

/** Length of what a bomb contains. */
const BOMB_LENGTH = 128 * 2 ** 20;
/** A program that refuses the bomb on its standard input 20 times, and prints by how much that raised its peak memory. */
const BOMBED = `
  import assert from "node:assert/strict";
  import { readFileSync } from "node:fs";
  import { chooseCompression } from "${resolve("lib/compression/choice.ts")}";
  import { nativeCompression as native } from "${resolve("lib/compression/native.ts")}";
  import { portableCompression as portable } from "${resolve("lib/compression/portable.ts")}";
  import { ZIPS } from "${resolve("lib/credential/zip.ts")}";
  import { memoryOf } from "${resolve("tests/harness/memory.ts")}";
  const [zipName, supplier] = process.argv.slice(-2);
  const zip = ZIPS.find(({ name }) => name === zipName);
  const suppliers = { native: [native], portable: [portable], library: [native, portable] };
  const { compress, decompress } = chooseCompression(...suppliers[supplier]);
  const bomb = new Uint8Array(readFileSync(0));
  decompress(zip, compress(zip, new Uint8Array(2 ** 20)), 2 ** 20);
  const before = memoryOf(process.pid, "VmHWM");
  for (let i = 0; i < 20; i++) {
    assert.throws(() => decompress(zip, bomb, 2 ** 20), { code: "EMUNGE_CRED_INVALID" });
  }
  console.log(memoryOf(process.pid, "VmHWM") - before);`;

const bzip2Installed = spawnSync("bzip2", ["--help"]).error === undefined;

test("bzip2 takes payloads for which its first memory is too small, and any after them", () => {
  const long = new Uint8Array(20 * 2 ** 20); // mostly zeros, which take bzip2 little time
  crypto.getRandomValues(long.subarray(0, 65_536));
  for (let at = 65_536; at < long.length; at += 65_536) long[at] = at / 65_536;
  for (const data of [long, text(100), long.subarray(0, 6 * 2 ** 20), text(100)]) {
    const back = primitives.decompress(BZLIB, primitives.compress(BZLIB, data), data.length);
    assert.ok(Buffer.from(data.buffer, data.byteOffset, data.length).equals(back));
  }
});

test("compress() and decompress() refuse what does not compress", () => {
  for (const { compress, decompress } of Object.values(SUPPLIED)) {
    for (const zip of [NONE, DEFAULT]) {
      assert.throws(() => compress(zip, text(100)), { code: "EMUNGE_BAD_ZIP" });
      assert.throws(() => decompress(zip, text(100), 100), { code: "EMUNGE_BAD_ZIP" });
    }
  }
});

for (const { zip, name, title, compress, decompress } of CODECS) {
  test(`decompress() undoes compress() (${title})`, () => {
    for (const length of LENGTHS) {
      for (const data of [text(length), random(length), new Uint8Array(length)]) {
        const back = decompress(zip, compress(zip, data), length);
        assert.equal(back.constructor, Uint8Array);
        assert.ok(Buffer.from(data).equals(back), `${length}`);
      }
    }
  });

  test(`decompress() treats the stated length as a bound (${title})`, () => {
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

  test(`decompress() refuses every truncation and every flipped byte (${title})`, () => {
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

  test(`decompress() stops a bomb at the stated length (${title})`, (context) => {
    if (process.platform !== "linux") return context.skip("needs /proc");
    const bomb = zip === ZLIB
      ? deflateSync(new Uint8Array(BOMB_LENGTH))
      : bzip2Installed
      ? new Uint8Array(spawnSync("bzip2", ["-9"], { input: new Uint8Array(BOMB_LENGTH) }).stdout)
      : undefined;
    if (bomb === undefined) return context.skip("bzip2 is not installed");
    // 20 of them in a program of their own: the peak of this one's memory may have come before.
    const { status, stdout, stderr } = spawnSync(process.execPath, ["-e", BOMBED, zip.name, name], {
      input: bomb,
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    assert.ok(Number(stdout) < BOMB_LENGTH / 2, `${stdout} bytes more`);
  });
}

test("native and portable zlib read each other's streams", () => {
  const { native, portable } = SUPPLIED;
  for (const length of LENGTHS) {
    for (const data of [text(length), random(length), new Uint8Array(length)]) {
      for (const [from, to] of [[native, portable], [portable, native]] as const) {
        assert.ok(Buffer.from(data).equals(to.decompress(ZLIB, from.compress(ZLIB, data), length)));
      }
    }
  }
});

test("native and portable zlib agree on streams that were changed anywhere", () => {
  const data = text(300);
  const stream = SUPPLIED.native.compress(ZLIB, data);
  const outcome = ({ decompress }: typeof primitives, bytes: Uint8Array) => {
    try {
      return Buffer.from(decompress(ZLIB, bytes, data.length)).toString("hex");
    } catch (error) {
      return (error as MungeError).code;
    }
  };
  for (let at = 0; at < stream.length; at++) {
    for (let bit = 1; bit < 256; bit <<= 1) {
      const damaged = stream.slice();
      damaged[at]! ^= bit;
      const [native, portable] = [SUPPLIED.native, SUPPLIED.portable].map((supplied) =>
        outcome({ ...primitives, ...supplied }, damaged)
      );
      assert.equal(native, portable, `byte ${at}, bit ${bit}`);
    }
  }
});

test("inflating bad streams in a loop without a pause keeps no memory", () => {
  // In a program of its own, because within the test runner, a loop's deferred work gets done.
  const program = `
    import { deflateSync } from "node:zlib";
    import { ZIPS } from "${resolve("lib/credential/zip.ts")}";
  import { memoryOf } from "${resolve("tests/harness/memory.ts")}";
    import { primitives } from "${resolve("lib/primitives/library.ts")}";
    const stream = deflateSync(new Uint8Array(2000).fill(65));
    const wrongSum = stream.slice();
    wrongSum[wrongSum.length - 1] ^= 1;
    const fail = (count) => {
      for (let i = 0; i < count; i++) {
        for (const bad of [wrongSum, stream.subarray(0, -6), new Uint8Array(50)]) {
          try {
            primitives.decompress(ZIPS[3], bad, 2000);
            process.exit(1);
          } catch (error) {
            if (error.code !== "EMUNGE_CRED_INVALID") throw error;
          }
        }
      }
    };
    fail(1000);
    const before = process.memoryUsage().rss;
    fail(10_000); // 4 kB a call were 120 MB
    console.log(process.memoryUsage().rss - before);`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["-e", program], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  assert.ok(Number(stdout) < 48 << 20, stdout);
});

test("compress() makes zlib's format, and any zlib can read it", () => {
  for (const length of LENGTHS) {
    const data = text(length);
    const stream = primitives.compress(ZLIB, data);
    assert.deepEqual([...stream.subarray(0, 2)], [0x78, 0x9c]);
    assert.ok(Buffer.from(data).equals(inflateSync(stream)));
    assert.ok(
      Buffer.from(data).equals(
        primitives.decompress(ZLIB, deflateSync(data, { level: 9 }), length),
      ),
    );
  }
});

test("the bzip2 program reads primitives.compress(), decompress() reads it", (context) => {
  if (!bzip2Installed) return context.skip("bzip2 is not installed");
  for (const length of LENGTHS) {
    const data = text(length);
    const stream = primitives.compress(BZLIB, data);
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
    assert.ok(
      Buffer.from(data).equals(primitives.decompress(BZLIB, new Uint8Array(theirs), length)),
    );
  }
});

test("bzip2 keeps no memory between calls, even if they fail", () => {
  const data = random(1 << 20);
  const stream = primitives.compress(BZLIB, data);
  for (let i = 0; i < 40; i++) {
    assert.throws(() => primitives.decompress(BZLIB, stream, data.length - 1), INVALID);
    assert.throws(() => primitives.decompress(BZLIB, data, 1 << 20), INVALID);
  }
  assert.ok(Buffer.from(data).equals(primitives.decompress(BZLIB, stream, data.length)));
});

test("bzip2 goes on with new memory once its memory is dropped", () => {
  for (const data of [random(1 << 20), random(1000)]) {
    const stream = primitives.compress(BZLIB, data);
    dropBzip2Memory();
    assert.ok(Buffer.from(data).equals(primitives.decompress(BZLIB, stream, data.length)));
    dropBzip2Memory();
  }
});
