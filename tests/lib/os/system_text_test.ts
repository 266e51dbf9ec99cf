// Users see failed calls in the system's words, never in the runtime's.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { MungeError } from "../../../lib/errors.ts";
import { SystemError } from "../../../lib/os/libc.ts";
import { failureText, unexpectedText } from "../../../lib/os/system_text.ts";

function failureOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

it("failureText() phrases the runtime's errors: the call, its file, and the system's text", () => {
  for (
    const [action, text] of [
      [() => readFileSync("/no/such"), 'Failed to open "/no/such": No such file or directory'],
      [() => Bun.spawnSync(["/no/such"]), 'Failed to run "/no/such": No such file or directory'],
      [() => process.kill(2 ** 30), "Failed to kill: No such process"],
    ] as const
  ) assert.equal(failureText(failureOf(action)), text);
});

it("failureText() leaves other errors alone", () => {
  assert.equal(failureText(new Error("Missing key")), "Missing key");
  assert.equal(failureText(new MungeError("EMUNGE_SNAFU", "Internal")), "Internal");
  assert.equal(failureText("text"), "text");
  assert.equal(failureText(undefined), "undefined");
});

it("unexpectedText() shows where an error is, unless a call failed", () => {
  assert.equal(unexpectedText(new SystemError("mmap", 12)), "Cannot allocate memory");
  assert.equal(
    unexpectedText(failureOf(() => process.kill(2 ** 30))),
    "Failed to kill: No such process",
  );
  assert.match(
    unexpectedText(new TypeError("x is null")),
    /^TypeError: x is null\n +at .*system_text_test/,
  );
  assert.equal(unexpectedText("text"), "text");
  assert.equal(unexpectedText(undefined), "undefined");
});
