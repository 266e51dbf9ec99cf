// Golden vectors: the same key, salt, IV, time and origin give the same credential forever. interop/vectors_test.ts checks
// that the reference opens them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openCredential, sealCredential } from "../../lib/credential/credential.ts";
import { crypto } from "../../lib/crypto/library.ts";
import { chooseCrypto } from "../../lib/crypto/choice.ts";
import { portable } from "../../lib/crypto/portable.ts";
import { deriveSubkeys } from "../../lib/credential/subkeys.ts";
import { ZIPS } from "../../lib/credential/zip.ts";
import { readVectors } from "./vectors.ts";

/** Implementations of zlib compress slightly differently, but all can decompress each other's output. */
const UNSTABLE_ZIP = ZIPS.find(({ name }) => name === "zlib")!.number;
const { key, random, vectors } = readVectors();

for (
  const [supplier, suppliedCrypto] of [["native", crypto], [
    "portable",
    chooseCrypto(portable),
  ]] as const
) {
  const subkeys = deriveSubkeys(key, suppliedCrypto);
  test(`sealCredential() gives the golden bytes with ${supplier} crypto`, () => {
    for (const { name, fields, credential } of vectors) {
      if (fields.zip === UNSTABLE_ZIP) continue;
      assert.equal(sealCredential(fields, subkeys, random, suppliedCrypto), credential, name);
    }
  });

  test(`openCredential() reads the golden bytes with ${supplier} crypto`, () => {
    for (const { name, fields, credential } of vectors) {
      const { replayKey, ...opened } = openCredential(credential, () => [subkeys], suppliedCrypto);
      assert.equal(replayKey.length, 16);
      for (const [field, value] of Object.entries(fields)) {
        const found = opened[field as keyof typeof opened];
        if (value instanceof Uint8Array) {
          assert.deepEqual([...found as Uint8Array], [...value], name);
        } else assert.equal(found, value, `${name}: ${field}`);
      }
    }
  });
}
