// Golden vectors: the same key, salt, IV, time and origin give the same credential forever. interop/vectors_test.ts checks
// that the reference opens them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseCompression } from "../../lib/compression/choice.ts";
import { portableCompression } from "../../lib/compression/portable.ts";
import { armor, unarmor } from "../../lib/credential/armor.ts";
import { openBytes } from "../../lib/credential/open.ts";
import { sealBytes } from "../../lib/credential/seal.ts";
import { chooseCryptography } from "../../lib/crypto/choice.ts";
import { portable } from "../../lib/crypto/portable.ts";
import { primitives } from "../../lib/primitives/library.ts";
import { deriveSubkeys } from "../../lib/credential/subkeys.ts";
import { ZIPS } from "../../lib/credential/zip.ts";
import { readVectors } from "./vectors.ts";

/** Implementations of zlib compress slightly differently, but all can decompress each other's output. */
const UNSTABLE_ZIP = ZIPS.find(({ name }) => name === "zlib")!.number;
const { key, random, vectors } = readVectors();

for (
  const [supplier, supplied] of [
    ["native", primitives],
    ["portable", { ...chooseCryptography(portable), ...chooseCompression(portableCompression) }],
  ] as const
) {
  const subkeys = deriveSubkeys(key, supplied);
  test(`sealBytes() gives the golden bytes with ${supplier} primitives`, () => {
    for (const { name, fields, credential } of vectors) {
      if (fields.zip === UNSTABLE_ZIP) continue;
      assert.equal(armor(sealBytes(fields, subkeys, random, supplied)), credential, name);
    }
  });

  test(`openBytes() reads the golden bytes with ${supplier} primitives`, () => {
    for (const { name, fields, credential } of vectors) {
      const { replayKey, ...opened } = openBytes(
        unarmor(credential),
        [subkeys],
        supplied,
      );
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
