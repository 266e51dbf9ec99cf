// Dependencies point one way, as rooms.ts has them, and only the folders that talk to the system import the runtime's own
// modules.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { codeOf, IMPORT, importsOf, ROOT, sourceFiles } from "./imports.ts";
import { EVERYWHERE, isWithin, roomOf, ROOMS } from "./rooms.ts";

/** Folders whose files may import `bun:*`. */
const BUN_ONLY = ["lib/os", "lib/krb5", "daemon"];
/** The files that open the system's libraries, each for its own folder. */
const FFI_ONLY = ["lib/os/libc.ts", "lib/krb5/library.ts"];
/** The one file through which the library reaches lib/os: by require(), without an ending, if the runtime is Bun. */
const DOOR = "lib/client/sync.ts";
/** Everything that reads clock, randomness, environment or process, or waits. */
const IMPURE =
  /\bDate\.now\b|new Date\(\)|\bperformance\.|Math\.random|getRandomValues|random(?:Bytes|Fill|Int|UUID)|process\.(?!platform\b)|set(?:Timeout|Interval)\b/;

/** A way from a node back to itself; undefined if there is none. */
function findCircle(edges: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const finished = new Set<string>();
  const visit = (node: string, way: readonly string[]): string[] | undefined => {
    if (way.includes(node)) return [...way.slice(way.indexOf(node)), node];
    if (finished.has(node)) return undefined;
    for (const next of edges.get(node) ?? []) {
      const circle = visit(next, [...way, node]);
      if (circle !== undefined) return circle;
    }
    finished.add(node);
    return undefined;
  };
  for (const node of edges.keys()) {
    const circle = visit(node, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

const files = ["lib", "daemon", "cli", "mod.ts"].flatMap(sourceFiles);
const importsIn = new Map(files.map((file) => [file, importsOf(file)]));
const imports = [...importsIn.values()].flat();

test("every import of one of our files resolves", () => {
  assert(imports.length > 100);
  for (const { file, specifier, target } of imports) {
    if (target === undefined) continue;
    assert(existsSync(join(ROOT, target)), `${file} imports ${specifier}, which is not there`);
  }
});

test("every import names its target, so that this file sees it", () => {
  for (const file of files) {
    assert(!/\b(?:import|require)\s*\(\s*[^"\s]/.test(codeOf(file)), file);
  }
});

test("the imports that are easily overlooked are found", () => {
  const found = (code: string) => [...code.matchAll(IMPORT)].map((match) => match[1] ?? match[2]);
  assert.deepEqual(found('createRequire(import.meta.url)("../os/libc")'), ["../os/libc"]);
  assert.deepEqual(found('await import("./a.ts")'), ["./a.ts"]);
  assert.deepEqual(found('type A = import("./a.ts").A'), ["./a.ts"]);
  assert.deepEqual(found('import type { A } from "./a.ts"'), ["./a.ts"]);
  assert.deepEqual(found('export * from "./a.ts"; import "./b.ts"'), ["./a.ts", "./b.ts"]);
  const behindDoor = importsIn.get(DOOR)!.map(({ target }) => target);
  assert(behindDoor.includes("lib/client/blocking_client.ts"));
});

test("every room exists, and imports only what it may", () => {
  for (const room of Object.keys(ROOMS)) assert(files.some((file) => roomOf(file) === room), room);
  for (const { file, target } of imports) {
    if (target === undefined) continue;
    const [from, to] = [roomOf(file), roomOf(target)];
    const allowed = from === to || EVERYWHERE.includes(to) || ROOMS[from]!.imports.includes(to);
    assert(allowed, `${file} imports ${target}`);
  }
});

test("no room imports a room that imports it, even indirectly", () => {
  const edges = new Map(Object.entries(ROOMS).map(([room, { imports }]) => [room, imports]));
  assert.equal(findCircle(edges)?.join(" -> "), undefined);
});

test("no file imports a file that imports it, even indirectly, types included", () => {
  const edges = new Map(
    [...importsIn].map(([file, each]) => [file, each.flatMap(({ target }) => target ?? [])]),
  );
  assert.equal(findCircle(edges)?.join(" -> "), undefined);
  const withCircle = new Map([["a", ["b"]], ["b", ["c"]], ["c", ["b"]]]);
  assert.deepEqual(findCircle(withCircle), ["b", "c", "b"]);
});

test("pure rooms get bytes, keys, clock and randomness as arguments", () => {
  for (const file of files) {
    const allowed = ROOMS[roomOf(file)]!.pure;
    if (allowed === undefined) continue;
    const outside = importsIn.get(file)!.filter(({ specifier }) =>
      builtinModules.includes(specifier) || /^(?:node|bun):/.test(specifier)
    );
    for (const { specifier } of outside) {
      assert(allowed.includes(specifier), `${file} imports ${specifier}`);
    }
    assert.equal(IMPURE.exec(codeOf(file))?.[0], undefined, file);
  }
});

test(`only ${BUN_ONLY.join(" and ")} import bun:*`, () => {
  for (const { file, specifier } of imports) {
    if (specifier !== "bun" && !specifier.startsWith("bun:")) continue;
    assert(BUN_ONLY.some((folder) => isWithin(file, folder)), `${file} imports ${specifier}`);
  }
});

test(`only ${FFI_ONLY.join(" and ")} call into other libraries`, () => {
  for (const file of files) {
    assert.equal(/\bFFI\b|\bdlopen\b/.test(codeOf(file)), FFI_ONLY.includes(file), file);
  }
});

test("only lib/krb5 calls libkrb5", () => {
  for (const file of files) {
    if (isWithin(file, "lib/krb5")) continue;
    assert(!/\blibkrb5\s*\(/.test(codeOf(file)), file);
  }
  for (const { file, target } of imports) {
    if (target === "lib/krb5/memory.ts") assert(isWithin(file, "lib/krb5"), file);
  }
});

test("mod.ts imports nothing from lib/os and lib/krb5, so that it runs in every runtime", () => {
  const reached = new Set(["mod.ts", "lib/offline/offline.ts", "lib/client/protocol.ts"]);
  for (const file of reached) {
    for (const { specifier, target } of importsIn.get(file)!) {
      const isDoor = file === DOOR && !specifier.endsWith(".ts");
      if (target !== undefined && !isDoor) reached.add(target);
    }
  }
  for (const file of reached) {
    assert(!isWithin(file, "lib/os") && !isWithin(file, "lib/krb5"), file);
  }
});

test("the executable's code imports no second implementation of cryptography or compression", () => {
  const only = [
    "lib/compression/portable.ts",
    "lib/crypto/portable.ts",
    "lib/offline/offline.ts",
    "lib/primitives/library.ts",
  ];
  for (const { file, target } of imports) {
    if (!isWithin(file, "cli") && !isWithin(file, "daemon")) continue;
    assert(target === undefined || !only.includes(target), `${file} imports ${target}`);
  }
});

test("every imported package is declared, and every declared package is imported", () => {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const { imports: mapped } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
  const imported = new Set(
    imports
      .filter(({ target, specifier }) =>
        target === undefined && !/^(node|bun):/.test(specifier) &&
        !builtinModules.includes(specifier)
      )
      .map(({ specifier }) =>
        specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/")
      ),
  );
  assert.deepEqual([...imported].sort(), Object.keys(dependencies).sort());
  for (const name of imported) {
    assert.match(JSON.stringify(mapped[name] ?? mapped[`${name}/`]), new RegExp(`${name}@\\d`));
  }
});

test("the lockfile has every package for every platform, as npm ci requires", () => {
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, Record<string, Record<string, string> | undefined>>;
  };
  const wanted = Object.values(packages).flatMap((row) =>
    ["dependencies", "devDependencies", "optionalDependencies"]
      .flatMap((kind) => Object.keys(row[kind] ?? {}))
  );
  assert(wanted.length > 20);
  for (const name of wanted) assert(`node_modules/${name}` in packages, name);
});
