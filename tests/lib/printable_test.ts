// Foreign text in output: nothing in it may control a terminal.
import assert from "node:assert/strict";
import { test } from "node:test";
import { printable, printableJson } from "../../lib/printable.ts";

/** Each with its escape sequence. */
const UNPRINTABLE: Readonly<Record<string, string>> = {
  "\x00": "\\x00",
  "\x07": "\\x07",
  "\n": "\\x0a",
  "\r": "\\x0d",
  "\x1b": "\\x1b",
  "\x7f": "\\x7f",
  "\x85": "\\x85",
  "\x9b": "\\x9b",
  "\u200f": "\\u200f",
  "\u2028": "\\u2028",
  "\u202e": "\\u202e",
  "\u2066": "\\u2066",
  "\ud800": "\\ud800",
  "\ufeff": "\\ufeff",
};

test("printable() escapes terminal control characters", () => {
  for (const [character, escaped] of Object.entries(UNPRINTABLE)) {
    assert.equal(printable(`a${character}b`), `a${escaped}b`);
  }
});

test("printable() keeps ordinary text", () => {
  const text = `plain "quoted" \\back Zürich 東京 𝄞 café`;
  assert.equal(printable(text), text);
});

test("printableJson() is JSON with the same value, in printable characters", () => {
  const value = { ...UNPRINTABLE, list: Object.keys(UNPRINTABLE) };
  const json = printableJson(value);
  assert.equal(printable(json), json);
  assert.deepEqual(JSON.parse(json), value);
});
