// Base64 of long credentials: the same as the engine's, and as strict.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { readLongBase64, writeLongBase64 } from "../../../lib/credential/long_base64.ts";

const BEFORE = 3;
const newBytes = (length: number) => new Uint8Array(length);
const read = (text: string) =>
  readLongBase64(new TextEncoder().encode(text), 0, text.length, newBytes);

test("writeLongBase64() and readLongBase64() agree with the engine for any bytes", () => {
  for (let length = 1; length < 600; length += length < 20 ? 1 : 97) {
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
