// Base64 of long credentials: the same as the engine's, and as strict.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { readLongBase64, writeLongBase64 } from "../../../../daemon/munged/serve/long_base64.ts";

const BEFORE = 3;
const newBytes = (length: number) => new Uint8Array(length);
const read = (text: string) =>
  readLongBase64(Buffer.from(text, "latin1"), 0, text.length, newBytes);

test("writeLongBase64() and readLongBase64() agree with the engine for any bytes", () => {
  const short = Array.from({ length: 20 }, (_, index) => index + 1);
  const pieces = [24_575, 24_576, 24_577, 49_151, 49_152, 100_000, 1_000_001];
  for (const length of [...short, 599, ...pieces]) {
    const bytes = new Uint8Array(randomBytes(length));
    const text = Buffer.from(bytes).toString("base64");
    const target = new Uint8Array(BEFORE + text.length + 1).fill(0x3a);
    writeLongBase64(bytes, target, BEFORE);
    assert.equal(Buffer.from(target).toString("latin1"), `:::${text}:`);
    assert.deepEqual(readLongBase64(target, BEFORE, BEFORE + text.length, newBytes), bytes);
  }
});

test("readLongBase64() refuses everything but the one form of the bytes", () => {
  assert.deepEqual(read("QUI="), new TextEncoder().encode("AB"));
  for (
    const text of [
      "",
      "QUI", // not padded
      "QUJ=", // a bit that belongs to no byte
      "QR==",
      "Q===",
      "====",
      "QU=I",
      "QU I",
      "QUI\n",
      "QU-_",
      "QU\u00ff=",
      "QUI=QUI=",
      " QUI=   ",
    ]
  ) {
    assert.equal(
      readLongBase64(Buffer.from(text, "latin1"), 0, text.length, newBytes),
      undefined,
      JSON.stringify(text),
    );
  }
});

test("readLongBase64() refuses a long text that is wrong anywhere", () => {
  const bytes = randomBytes(60_000).fill(0xff, 59_997); // with another end, a "=" there could be right
  const text = Buffer.from(bytes).toString("base64");
  for (const at of [0, 32_767, 32_768, 65_535, 65_536, text.length - 1]) {
    for (const wrong of ["\n", "=", "-", "\u00ff", "\0"]) {
      assert.equal(
        read(text.slice(0, at) + wrong + text.slice(at + 1)),
        undefined,
        `${at} ${wrong}`,
      );
    }
    assert.equal(read(`${text.slice(0, at)}    ${text.slice(at)}`), undefined, `${at}`);
  }
});
