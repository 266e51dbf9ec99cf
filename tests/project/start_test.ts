// What munged loads before its first answer. Clients wait for that, so it must be little.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { test } from "node:test";

const ROOT = resolve(import.meta.dirname, "../..");

/** The files with which its processes and threads start. */
const STARTS = [
  "cli/munged/munged.ts",
  "daemon/munged/main.ts",
  "daemon/munged/service.ts",
  "daemon/munged/serve/worker.ts",
  "daemon/munged/groups/thread.ts",
  "daemon/process/session_leader.ts",
];

/** Modules that bring the runtime's streams with them, or a dozen others: each takes milliseconds, in each thread. */
const SLOW = [
  "node:child_process",
  "node:dns",
  "node:http",
  "node:net",
  "node:stream",
  "node:tls",
  "node:worker_threads",
  "node:zlib",
];

/** Static imports and re-exports, but for those that consist of types. */
const LOADED = /^(?:import|export)\s+(?!type\b)(?:[^;"']*?\s+from\s+)?"([^"]+)"/gm;
const ONLY_TYPES = /\{\s*(?:type\s+[\w$]+(?:\s+as\s+[\w$]+)?\s*,?\s*)+\}/;

/** The runtime's modules that a file of ours loads, by way of others, too, with the file that imports each. */
function loadedBy(start: string): Map<string, string> {
  const modules = new Map<string, string>();
  const files = new Set<string>();
  const visit = (file: string) => {
    if (files.has(file)) return;
    files.add(file);
    for (const [statement, name] of readFileSync(file, "utf8").matchAll(LOADED)) {
      if (ONLY_TYPES.test(statement)) continue;
      if (name!.startsWith(".")) visit(resolve(dirname(file), name!));
      else modules.set(name!, relative(ROOT, file));
    }
  };
  visit(resolve(ROOT, start));
  assert(files.size > 1 || modules.size > 0, start);
  return modules;
}

for (const start of STARTS) {
  test(`${start} loads no module that takes milliseconds`, () => {
    const modules = loadedBy(start);
    for (const name of SLOW) {
      assert.equal(modules.get(name), undefined, `${modules.get(name)} imports ${name}`);
    }
  });
}

test("what a file loads through other files is found", () => {
  assert(loadedBy("daemon/munged/serve/worker.ts").has("node:module"));
  assert(loadedBy("mod.ts").has("node:net"));
});

/** What takes half a megabyte or more in a thread, which therefore loads it when it first needs it. */
const LARGE = {
  "daemon/munged/service.ts": ["node:crypto"],
  "daemon/munged/serve/worker.ts": ["node:crypto", "node:fs"],
};

for (const [start, names] of Object.entries(LARGE)) {
  test(`${start} loads ${names.join(" and ")} when it first needs it`, () => {
    const modules = loadedBy(start);
    for (const name of names) {
      assert.equal(modules.get(name), undefined, `${modules.get(name)} imports ${name}`);
    }
  });
}
