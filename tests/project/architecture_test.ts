// Which folder may import which: dependencies point one way, and only the folders that talk to the system import the
// runtime's own modules.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

const ROOT = resolve(import.meta.dirname, "../..");

/** What files below a folder may import from the project: only these folders and files. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  lib: ["lib"],
  daemon: ["daemon", "lib"],
  cli: ["cli", "daemon", "lib"],
  "mod.ts": ["lib"],
};
/** Folders whose files may import `bun:*`. */
const BUN_ONLY = ["lib/os", "lib/krb5", "daemon"];
/** The files that open the system's libraries, each for its own folder. */
const FFI_ONLY = ["lib/os/libc.ts", "lib/krb5/library.ts"];

/** Static, dynamic and type imports, re-exports, and require(). */
const IMPORT = /\b(?:from|(?:import|require|resolve)\s*\(?)\s*"([^"$\n]+)"/g;

interface Import {
  readonly file: string;
  /** As written: "./keys.ts", "bun:ffi", "@scure/base". */
  readonly specifier: string;
  /** Path in the project, if relative. */
  readonly target: string | undefined;
}

function sourceFiles(path: string): string[] {
  const full = join(ROOT, path);
  if (path.endsWith(".ts")) return existsSync(full) ? [path] : [];
  return readdirSync(full, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(path, name));
}

/** A file without its comments, whose examples don't count. */
function codeOf(file: string): string {
  return readFileSync(join(ROOT, file), "utf8").replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
}

function importsOf(file: string): Import[] {
  return [...codeOf(file).matchAll(IMPORT)].map((match) => {
    const specifier = match[1]!;
    const isRelative = specifier.startsWith(".");
    const target = isRelative ? relative(ROOT, resolve(ROOT, dirname(file), specifier)) : undefined;
    return { file, specifier, target };
  });
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

const files = Object.keys(MAY_IMPORT).flatMap(sourceFiles);
const imports = files.flatMap(importsOf);

test("every import of one of our files resolves", () => {
  assert(imports.length > 100);
  for (const { file, specifier, target } of imports) {
    if (target === undefined) continue;
    assert(existsSync(join(ROOT, target)), `${file} imports ${specifier}, which is not there`);
  }
});

for (const [importer, allowed] of Object.entries(MAY_IMPORT)) {
  test(`${importer} imports only ${allowed.join(", ")}`, () => {
    for (const { file, target } of imports) {
      if (target === undefined || !isWithin(file, importer)) continue;
      assert(allowed.some((folder) => isWithin(target, folder)), `${file} imports ${target}`);
    }
  });
}

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
  const reached = new Set(["mod.ts"]);
  for (const file of reached) {
    for (const { target } of imports.filter((each) => each.file === file)) {
      if (target !== undefined) reached.add(target);
    }
  }
  for (const file of reached) {
    assert(!isWithin(file, "lib/os") && !isWithin(file, "lib/krb5"), file);
  }
});

test("the executable's code imports no second implementation of cryptography", () => {
  const only = ["lib/crypto/library.ts", "lib/crypto/portable.ts", "lib/offline/offline.ts"];
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
