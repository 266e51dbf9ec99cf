// docs/protocol.md dissects a golden vector; its tables match the bytes.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CIPHERS } from "../../lib/credential/cipher.ts";
import { ERRORS } from "../../lib/errors.ts";
import { MACS } from "../../lib/credential/mac.ts";
import { ZIPS } from "../../lib/credential/zip.ts";
import { readVectors } from "../vectors/vectors.ts";
import { dissect } from "./dissection.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/protocol.md"), "utf8");
/** Ignores how deno fmt aligns tables. */
const squeeze = (text: string) => text.replace(/ *\| */g, "|").replace(/-{2,}/g, "--");

test("docs/protocol.md shows the first golden vector byte by byte", () => {
  const { key, vectors } = readVectors();
  const expected = dissect(vectors[0]!.credential, key);
  assert(squeeze(page).includes(squeeze(expected)), `it should show:\n\n${expected}\n`);
});

test("docs/protocol.md has the numbers, names and sizes of the tables", () => {
  const rows = [
    ...CIPHERS.map(({ number, name, blockLength, keyLength }) =>
      name === "default" ? [] : [number, name, blockLength, keyLength]
    ),
    ...MACS.map(({ number, name, length }) => name === "default" ? [] : [number, name, length]),
    ...ZIPS.map(({ number, name }) => name === "default" ? [] : [number, name]),
    ...ERRORS.map(([code, text], number) => [number, code, text]),
  ];
  for (const row of rows.filter(({ length }) => length > 0)) {
    assert(squeeze(page).includes(`|${row.join("|")}|`), row.join(" | "));
  }
});
