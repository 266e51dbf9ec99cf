// HMAC from one-shot digests, compared with the runtime's own.
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { test } from "node:test";
import { hmacFrom } from "../../../lib/crypto/hmac.ts";

const BLOCK_LENGTH = 64;
const DIGEST_LENGTH = 32;

const expected = (key: Uint8Array, data: Uint8Array): Uint8Array =>
  createHmac("sha256", key).update(data).digest();

const hmac = hmacFrom(
  (message, output) => output.set(createHash("sha256").update(message).digest()),
  DIGEST_LENGTH,
  BLOCK_LENGTH,
  expected,
);

function noise(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length));
}

test("hmacFrom() is HMAC for keys and data of any length, in any order", () => {
  // Long and short in turn, so that remains of one key would affect the next.
  for (const keyLength of [64, 0, 20, 63, 1, 65, 20, 200]) {
    for (const dataLength of [4096, 0, 1, 55, 4095, 64, 4097, 100_000]) {
      const [key, data] = [noise(keyLength), noise(dataLength)];
      assert.deepEqual(
        Buffer.from(hmac(key, data)),
        expected(key, data),
        `${keyLength}, ${dataLength}`,
      );
    }
  }
});

test("hmacFrom() returns new bytes each time", () => {
  const [key, data] = [noise(20), noise(80)];
  const first = hmac(key, data);
  const copy = first.slice();
  hmac(noise(20), noise(80));
  assert.deepEqual(first, copy);
});

test("hmacFrom() keeps no part of a key", () => {
  const seen: Uint8Array[] = [];
  const spying = hmacFrom((message) => seen.push(message), DIGEST_LENGTH, BLOCK_LENGTH, expected);
  spying(noise(20), noise(80));
  assert.equal(seen.length, 2);
  const [inner, outer] = seen.map((message) => message.slice(0, BLOCK_LENGTH));
  assert.deepEqual(inner, new Uint8Array(BLOCK_LENGTH).fill(0x36));
  assert.deepEqual(outer, new Uint8Array(BLOCK_LENGTH).fill(0x5c));
});
