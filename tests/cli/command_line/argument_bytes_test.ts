// Arguments that are not UTF-8: their bytes survive where bytes are expected, and are refused where text is.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import {
  argumentBytes,
  escapeBytes,
  printableBytes,
  requireText,
} from "../../../cli/command_line/argument_bytes.ts";

const NOT_UTF8 = [
  "ff",
  "80",
  "c3",
  "c328",
  "61ff62",
  "eda080",
  "f09f98",
  "c0af",
  "fffefd",
  "e28280ff",
];

test("bytes survive as a string, UTF-8 or not", () => {
  const samples = [...NOT_UTF8, "", "616263", "c3a9", "e282ac", "f09f9880", "efbfbd", "efbbbf61"]
    .map((hex) => Buffer.from(hex, "hex"));
  for (let count = 0; count < 2000; count++) samples.push(randomBytes(count % 9));
  for (const bytes of samples) {
    assert.deepEqual(Buffer.from(argumentBytes(escapeBytes(bytes))), bytes, bytes.toString("hex"));
  }
});

test("text stays unchanged", () => {
  for (const text of ["", "abc", "é€😀", "\ufffd", "\ufeffa"]) {
    assert.equal(escapeBytes(Buffer.from(text)), text);
    assert.deepEqual(Buffer.from(argumentBytes(text)), Buffer.from(text));
    requireText(text);
  }
});

test("bytes that are not UTF-8 are refused where text is expected", () => {
  for (const hex of NOT_UTF8) {
    assert.throws(() => requireText(escapeBytes(Buffer.from(hex, "hex"))), {
      errno: 1,
      message: /^Argument ".*\ufffd.*" is not in UTF-8$/s,
    });
  }
});

test("printableBytes() keeps bytes that are not UTF-8, and no control character in any encoding", () => {
  const shown = (bytes: number[]) => [
    ...argumentBytes(printableBytes(escapeBytes(Uint8Array.from(bytes)))),
  ];
  assert.deepEqual(shown([0x6a, 0xf6, 0x72]), [0x6a, 0xf6, 0x72]);
  assert.deepEqual(shown([0xc3, 0xb6]), [0xc3, 0xb6]);
  assert.equal(Buffer.from(shown([0xf6, 0x9b, 0x41, 0x1b])).toString("latin1"), "\xf6\\x9bA\\x1b");
});
