// Addresses of our memory that are kept for libc: the memory must be referenced for as long. The engine frees what no code
// refers to any more, an unused variable of a file included, and libc would go on writing there.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

/** `address = ptr(memory)`, `#address: number = ptr(this.#memory)` or `at: ptr(memory)`. */
const KEPT_ADDRESS = /(?:=|\w:) *\(?ptr\((?:this\.)?(#?\w+)\)/g;

/** Memory in a file whose address is kept, though the file refers to it nowhere else. */
function unreferenced(source: string): string[] {
  const code = source.replace(/^\s*(?:\/\/|\/?\*).*$/gm, "");
  return [...code.matchAll(KEPT_ADDRESS)].map(([, name]) => name!).filter((name) =>
    // Where it is made, and where its address is taken.
    code.split(new RegExp(`(?<![\\w#])${name}(?!\\w)`)).length - 1 <= 2
  );
}

test("memory whose address is kept is kept as well", () => {
  assert.deepEqual(unreferenced("const one = f();\nconst address = ptr(one);\nuse(address);"), [
    "one",
  ]);
  assert.deepEqual(unreferenced("const one = f();\nconst address = ptr(one);\nuse(one[0]);"), []);
  const files = ["lib", "daemon", "cli"].flatMap((room) =>
    readdirSync(room, { recursive: true, encoding: "utf8" }).map((name) => join(room, name))
  ).filter((name) => name.endsWith(".ts"));
  assert.ok(files.includes("lib/os/sender.ts"), "run from the project's directory");
  const found = files.flatMap((file) =>
    unreferenced(readFileSync(file, "utf8")).map((name) => `${file}: ${name}`)
  );
  assert.deepEqual(found, []);
});
