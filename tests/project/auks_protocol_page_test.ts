// docs/auks-protocol.md has the numbers of the code's tables.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { MESSAGE_TYPE } from "../../lib/auks/message.ts";
import { packedLength } from "../../lib/auks/packed_credential.ts";
import { REASONS } from "../../lib/auks/reasons.ts";
import { formatErrorReply } from "../../lib/auks/reply.ts";
import { formatRequest, MARKS } from "../../lib/auks/request.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/auks-protocol.md"), "utf8");
/** The cells of each row of its tables. */
const rows = page.split("\n").filter((line) => line.startsWith("|"))
  .map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()));

test("docs/auks-protocol.md has every reason, with its number and text", () => {
  for (const [name, [number, , text]] of Object.entries(REASONS)) {
    assert(rows.some((row) => row.join("|") === [number, `\`${name}\``, text].join("|")), name);
  }
});

test("docs/auks-protocol.md has every mark, with its number", () => {
  for (const [name, number] of Object.entries(MARKS)) {
    assert(rows.some((row) => row[0] === `\`${name}\`` && row[1] === `${number}`), name);
  }
  const marked = formatRequest({ type: "get", uid: 1, claim: true });
  assert(page.includes(`\`${marked.subarray(8, 12).toHex()}\` (\`mbox\`)`));
});

test("docs/auks-protocol.md has every message, with its type", () => {
  const types = rows.flatMap((row) => [row[1], row[4]]);
  for (const [name, type] of Object.entries(MESSAGE_TYPE)) {
    assert(name === "credDump" || types.includes(`${type}`), name);
  }
  assert.deepEqual([...formatErrorReply("notFound", "no").subarray(0, 12)].filter(Boolean), [
    21,
    2,
    2,
  ]);
});

test("docs/auks-protocol.md has every field of a packed credential", () => {
  const sizes: Record<string, number> = { "3 × 4": 12, max_length: 100 };
  const first = rows.findIndex(([field]) => field === "principal") - 1;
  const fields = rows.slice(first, rows.findIndex(([field]) => field === "status") + 1);
  const bytes = fields.map(([, size]) => sizes[size!] ?? Number(size));
  assert.equal(bytes.reduce((sum, size) => sum + size), packedLength(100, "head", true));
});
