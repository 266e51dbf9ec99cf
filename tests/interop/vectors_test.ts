// Both daemons open the golden vectors on the day they were made; faketime sets the clock.
import assert from "node:assert/strict";
import { join } from "node:path";
import { it } from "node:test";
import { ANY_ID } from "../../lib/protocol/message.ts";
import { readVectors } from "../vectors/vectors.ts";
import { rawDecode } from "./raw.ts";
import { Realm } from "../harness/realm.ts";
import { hasReference, isRoot, MAKES } from "../harness/programs.ts";
import { hasFaketime, withClockOff } from "../harness/clock.ts";
import { suite } from "../suite.ts";

const { key, vectors } = readVectors();
const needs = {
  "the reference": hasReference,
  root: isRoot,
  faketime: hasFaketime,
};

suite("golden vectors", needs, () => {
  for (const make of MAKES) {
    it(`are opened by ${make === "ours" ? "our munged" : "the reference"}`, async () => {
      const realm = new Realm(key);
      try {
        const { encodeTime } = vectors[0]!.fields;
        // The reference opens credentials of any realm with its one key.
        const args = make === "ours" ? [`--realm=gpu=${join(realm.directory, "key")}`] : [];
        const munged = await realm.start(
          make,
          args,
          withClockOff(encodeTime - Math.floor(Date.now() / 1000)),
        );
        for (const { name, fields, credential } of vectors) {
          const opened = await rawDecode(munged.socket, {
            credential: new TextEncoder().encode(credential),
          });
          const restricted = fields.uidRestriction !== ANY_ID; // for a user other than root
          assert.equal(opened.errno, restricted ? 18 : 0, `${name}: ${opened.errorText}`);
          if (restricted) continue;
          const { realm: _, ...expected } = fields; // the reference returns it with two NULs
          for (const [field, value] of Object.entries(expected)) {
            const found = opened[field as keyof typeof opened];
            if (value instanceof Uint8Array) {
              assert.deepEqual([...found as Uint8Array], [...value], name);
            } else {
              assert.equal(found, value, `${name}: ${field}`);
            }
          }
          const late = opened.decodeTime - encodeTime;
          assert(late >= 0 && late <= 120, `decoded ${late} s after it was made`);
        }
      } finally {
        await realm.close();
      }
    });
  }
});
