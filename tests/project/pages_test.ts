// All pages of docs/ can be reached from the README.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, resolve } from "node:path";
import { test } from "node:test";

const ROOT = resolve(import.meta.dirname, "../..");
const LINK = /\]\(([^()#\s:]+\.md)(?:#[^()\s]*)?\)/g;

test("links lead from README.md to every page of docs/", () => {
  const reached = new Set(["README.md"]);
  for (const page of reached) {
    if (!existsSync(join(ROOT, page))) continue;
    for (const [, link] of readFileSync(join(ROOT, page), "utf8").matchAll(LINK)) {
      reached.add(normalize(join(dirname(page), link!)));
    }
  }
  const pages = readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"));
  assert(pages.length > 5);
  for (const name of pages) assert(reached.has(`docs/${name}`), `docs/${name}`);
});
