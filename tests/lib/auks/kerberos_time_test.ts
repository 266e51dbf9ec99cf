// KerberosTime: exactly the times that exist, in one form each.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatKerberosTime, parseKerberosTime } from "../../../lib/auks/kerberos_time.ts";

test("every second of 32 bits is read back", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (seconds) => {
    assert.equal(parseKerberosTime(formatKerberosTime(seconds)), seconds);
  }));
  assert.equal(parseKerberosTime("19700101000000Z"), 0);
  assert.equal(parseKerberosTime("21060207062815Z"), 0xffff_ffff);
});

test("a time with one character changed is refused, or is another time in its only form", () => {
  const digit = fc.constantFrom(..."0123456789 /:Zz+-.");
  const seconds = fc.integer({ min: 0, max: 0xffff_ffff });
  fc.assert(
    fc.property(seconds, fc.nat(14), digit, (time, at, changed) => {
      const text = formatKerberosTime(time);
      const other = text.slice(0, at) + changed + text.slice(at + 1);
      const found = parseKerberosTime(other);
      if (found !== undefined) assert.equal(formatKerberosTime(found), other);
    }),
    { numRuns: 2000 },
  );
});

const INVALID = [
  "",
  "20260101000000",
  "20260101000000z",
  "020260101000000Z",
  "20260101000000ZZ",
  "2026010100000 Z",
  "19691231235959Z", // before the epoch
  "21060207062816Z", // after 32 bits
  "00700101000000Z", // not 1970
  "20260001000000Z",
  "20261301000000Z",
  "20260100000000Z",
  "20260431000000Z",
  "20250229000000Z",
  "21000229000000Z",
  "20260101240000Z",
  "20260101006000Z",
  "20261231235960Z", // leap seconds have no number
];
for (const text of INVALID) {
  test(`"${text}" is refused`, () => assert.equal(parseKerberosTime(text), undefined));
}
