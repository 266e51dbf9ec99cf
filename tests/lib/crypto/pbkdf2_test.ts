// PBKDF2 from one-shot digests, compared with the runtime's own and with RFC 7914, section 11.
import assert from "node:assert/strict";
import { createHash, pbkdf2Sync } from "node:crypto";
import { test } from "node:test";
import { pbkdf2Sha256 } from "../../../lib/crypto/pbkdf2.ts";

const sha256 = (message: Uint8Array, output: Uint8Array) =>
  output.set(createHash("sha256").update(message).digest());
const bytes = (text: string) => new TextEncoder().encode(text);

test("pbkdf2Sha256() gives what RFC 7914 does", () => {
  const expected = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc";
  assert.equal(pbkdf2Sha256(sha256, bytes("passwd"), bytes("salt"), 1, 32).toHex(), expected);
});

test("pbkdf2Sha256() is PBKDF2 for secrets, salts and results of any length, and leaves its arguments alone", () => {
  for (const secretLength of [0, 1, 40, 63, 64]) {
    for (const saltLength of [0, 1, 26, 52, 64, 1000]) {
      for (const [iterations, length] of [[1, 32], [2, 1], [3, 8], [1000, 31]] as const) {
        const secret = crypto.getRandomValues(new Uint8Array(secretLength));
        const salt = crypto.getRandomValues(new Uint8Array(saltLength));
        const before = [secret.toHex(), salt.toHex()];
        assert.equal(
          pbkdf2Sha256(sha256, secret, salt, iterations, length).toHex(),
          pbkdf2Sync(secret, salt, iterations, length, "sha256").toString("hex"),
        );
        assert.deepEqual([secret.toHex(), salt.toHex()], before);
      }
    }
  }
});

test("pbkdf2Sha256() refuses what one block does not hold", () => {
  assert.throws(() => pbkdf2Sha256(sha256, new Uint8Array(65), bytes("salt"), 1, 32), RangeError);
  assert.throws(() => pbkdf2Sha256(sha256, new Uint8Array(64), bytes("salt"), 1, 33), RangeError);
});
