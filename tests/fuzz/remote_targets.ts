// What other hosts tell `mungebox doctor HOST`.
import assert from "node:assert/strict";
import { parseAnswer } from "../../cli/doctor/remote.ts";
import type { Target } from "./target.ts";

const ANSWERS = [
  "time 1800000000\nversion munge-0.5.18 (mungebox 0.1.0)\n" +
  'doctor {"fingerprint":"0123456789abcdef","cause":{"verdict":"problem","text":"no key"}}\n' +
  "encode 0 MUNGE:AwQFAACkQUFB:\n" +
  "decode 0 STATUS:          Success (0)\nENCODE_TIME:     2027-01-15 08:00:00 +0000 (1800000000)\n" +
  "DECODE_TIME:     2027-01-15 08:00:01 +0000 (1800000001)\n",
  "time 1800000000\nversion munge-0.5.15 (2022-06-22)\nencode 6 munge: Error: Failed to connect\n" +
  "decode 14 unmunge: Error: Invalid credential\n",
  `time 1\nversion ${"x".repeat(400)}\nencode 1 ${"y".repeat(400)}\n`,
];
/** A text that doctor cuts off at 300 characters ends in three dots. */
const MOST_TEXT = 303;

/** A text that doctor repeats is bounded; a number that it computes with is one. */
function check(value: unknown): void {
  if (typeof value === "string") assert(value.length <= MOST_TEXT, `${value.length} characters`);
  else if (typeof value === "number") assert(Number.isSafeInteger(value), `${value}`);
  else if (value !== undefined) {
    assert(typeof value === "object" && value !== null);
    Object.values(value).forEach(check);
  }
}

/** Formats of other hosts. */
export const REMOTE_TARGETS: readonly Target[] = [{
  name: "doctor-answer",
  corpus: () => ANSWERS.map((text) => new TextEncoder().encode(text)),
  tokens: [
    "\n",
    "time ",
    "version ",
    "doctor ",
    "encode ",
    "decode ",
    "{",
    "[",
    "null",
    '"cause":',
  ],
  read: (bytes) => {
    const { encode, ...rest } = parseAnswer(new TextDecoder().decode(bytes));
    // A credential is bounded by the answer's length, and goes to our munged only.
    if (encode === undefined || "failure" in encode) check({ encode });
    else assert.match(encode.credential, /^MUNGE:[A-Za-z0-9+/=]+:$/);
    check(rest);
    if (rest.time === undefined) throw new NoAnswer();
  },
  isRefusal: (error) => error instanceof NoAnswer,
}];

/** Without a time, doctor treats the host as one that can't be reached. */
class NoAnswer extends Error {}
