// Which folder may import which: dependencies point one way, and only the folders that talk to the system import the
// runtime's own modules.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

const ROOT = resolve(import.meta.dirname, "../..");

/** A folder with one idea, or a file that many need. */
interface Room {
  /** The only other rooms of the project that its files may import, besides {@linkcode EVERYWHERE}. */
  readonly imports: readonly string[];
  /** Gets bytes, keys, clock and randomness as arguments; only these modules of the runtime may be imported. */
  readonly pure?: readonly string[];
}

/** Files without imports of their own, which any other may import. */
const EVERYWHERE = ["lib/errors.ts", "lib/paths.ts", "lib/printable.ts", "lib/version.ts"];
const SHARED_LIB = ["lib/credential", "lib/primitives", "lib/protocol", "lib/os"];

/** Every room. A file belongs to the one with the longest name that its path begins with. */
const ROOMS: Readonly<Record<string, Room>> = {
  ...Object.fromEntries(EVERYWHERE.map((file) => [file, { imports: [], pure: [] }])),
  "lib/bytes": { imports: [], pure: [] },
  "lib/credential": { imports: ["lib/bytes"], pure: [] },
  "lib/crypto": { imports: ["lib/bytes", "lib/credential"], pure: ["node:crypto", "node:module"] },
  "lib/compression": {
    imports: ["lib/credential"],
    pure: ["node:zlib", "node:module", "node:fs"], // libbzip2 is a file
  },
  "lib/primitives": { imports: ["lib/compression", "lib/credential", "lib/crypto"], pure: [] },
  "lib/protocol": { imports: ["lib/bytes", "lib/credential"], pure: [] },
  "lib/auks": { imports: ["lib/bytes"], pure: [] },
  "lib/os": { imports: [] },
  "lib/files": { imports: ["lib/os"] },
  "lib/keys": { imports: ["lib/credential", "lib/files", "lib/os"] },
  "lib/krb5": { imports: ["lib/bytes", "lib/os"] },
  "lib/auks_client": { imports: ["lib/auks", "lib/files", "lib/krb5", "lib/os"] },
  "lib/client": { imports: ["lib/credential", "lib/protocol", "lib/os"] },
  "lib/offline": { imports: ["lib/bytes", "lib/client", "lib/credential", "lib/primitives"] },
  "mod.ts": { imports: ["lib/client", "lib/credential", "lib/protocol"] },

  "daemon/process": { imports: ["lib/auks", "lib/files", "lib/os"] },
  "daemon/munged/config.ts": { imports: ["lib/credential", "daemon/process"] },
  "daemon/munged/groups": { imports: ["daemon/munged/config.ts", "daemon/process", "lib/os"] },
  "daemon/munged/policy": { imports: ["daemon/munged/config.ts", "lib/bytes", "lib/credential"] },
  "daemon/munged/keys": {
    imports: [
      "daemon/munged/config.ts",
      "daemon/munged/policy",
      "daemon/process",
      "lib/keys",
      ...SHARED_LIB,
    ],
  },
  "daemon/munged/replay": {
    imports: ["daemon/munged/config.ts", "daemon/process", "lib/files", ...SHARED_LIB],
  },
  "daemon/munged/replay_store": {
    imports: ["daemon/munged/config.ts", "daemon/process", "lib/files", "lib/os"],
  },
  "daemon/munged/observe": {
    imports: [
      "daemon/munged/config.ts",
      "daemon/munged/keys",
      "daemon/munged/policy",
      "daemon/munged/replay",
      "daemon/munged/replay_store",
      "daemon/process",
      ...SHARED_LIB,
    ],
  },
  "daemon/munged/serve": {
    imports: [
      "daemon/munged/config.ts",
      "daemon/munged/groups",
      "daemon/munged/keys",
      "daemon/munged/policy",
      "daemon/munged/observe",
      "daemon/munged/replay",
      "daemon/munged/replay_store",
      "daemon/process",
      "lib/bytes",
      ...SHARED_LIB,
    ],
  },
  "daemon/munged": {
    imports: [
      "daemon/munged/config.ts",
      "daemon/munged/groups",
      "daemon/munged/keys",
      "daemon/munged/observe",
      "daemon/munged/replay",
      "daemon/munged/replay_store",
      "daemon/munged/serve",
      "daemon/process",
      "lib/bytes",
      "lib/credential",
      "lib/files",
      "lib/os",
    ],
  },
  "daemon/auksd": {
    // It is a client of the other auksd of its pair.
    imports: [
      "daemon/process",
      "lib/auks",
      "lib/auks_client",
      "lib/bytes",
      "lib/files",
      "lib/krb5",
      "lib/os",
    ],
  },
  "daemon/auksdrenewer": {
    imports: ["daemon/process", "lib/auks", "lib/auks_client", "lib/krb5", "lib/os"],
  },
  "daemon/aukspriv": { imports: ["daemon/process", "lib/auks_client", "lib/krb5", "lib/os"] },

  "cli/command_line": { imports: ["lib/credential", "lib/files", "lib/os", "lib/protocol"] },
  "cli/munged": {
    imports: [
      "cli/command_line",
      "daemon/munged",
      "daemon/munged/config.ts",
      "daemon/munged/observe",
      "daemon/munged/policy",
      "daemon/process",
      "lib/client",
      "lib/files",
      ...SHARED_LIB,
    ],
  },
  "cli/mungekey": {
    imports: [
      "cli/command_line",
      "cli/munged",
      "daemon/munged",
      "daemon/munged/config.ts",
      "daemon/munged/observe",
      "daemon/process",
      "lib/files",
      "lib/keys",
      ...SHARED_LIB,
    ],
  },
  "cli/munge": { imports: ["cli/command_line", "lib/client", ...SHARED_LIB] },
  "cli/remunge": { imports: ["cli/command_line", "lib/client", ...SHARED_LIB] },
  "cli/doctor": {
    imports: [
      "cli/command_line",
      "cli/munged",
      "daemon/auksd",
      "daemon/munged",
      "daemon/munged/config.ts",
      "daemon/munged/groups",
      "daemon/munged/keys",
      "daemon/munged/observe",
      "daemon/munged/policy",
      "daemon/munged/replay",
      "daemon/munged/replay_store",
      "daemon/process",
      "lib/auks",
      "lib/auks_client",
      "lib/client",
      "lib/files",
      "lib/keys",
      "lib/krb5",
      ...SHARED_LIB,
    ],
  },
  "cli/auks": {
    imports: [
      "cli/command_line",
      "daemon/auksd",
      "daemon/auksdrenewer",
      "daemon/aukspriv",
      "daemon/process",
      "lib/auks",
      "lib/auks_client",
      "lib/krb5",
      "lib/os",
    ],
  },
  cli: {
    imports: [
      "cli/auks",
      "cli/command_line",
      "cli/doctor",
      "cli/munge",
      "cli/munged",
      "cli/mungekey",
      "cli/remunge",
      "daemon/munged",
      "daemon/munged/config.ts",
      "daemon/process",
      "lib/client",
      "lib/files",
      ...SHARED_LIB,
    ],
  },
};
/** Folders whose files may import `bun:*`. */
const BUN_ONLY = ["lib/os", "lib/krb5", "daemon"];
/** The files that open the system's libraries, each for its own folder. */
const FFI_ONLY = ["lib/os/libc.ts", "lib/krb5/library.ts"];
/** The one file through which the library reaches lib/os: by require(), without an ending, if the runtime is Bun. */
const DOOR = "lib/client/sync.ts";
/** Everything that reads clock, randomness, environment or process, or waits. */
const IMPURE =
  /\bDate\.now\b|new Date\(\)|\bperformance\.|Math\.random|getRandomValues|random(?:Bytes|Fill|Int|UUID)|process\.(?!platform\b)|set(?:Timeout|Interval)\b/;

/**
 * Static, dynamic and type imports, re-exports, and require(), also that of createRequire(...). Only literals: a test
 * refuses others.
 */
const IMPORT =
  /\b(?:from|import\s*\(?|require\s*\(|require\.resolve\s*\(|\bresolve\s*\()\s*"([^"$\n]+)"|\)\s*\(\s*"([.]{1,2}\/[^"$\n]+|(?:node|bun):[^"$\n]+)"\)/g;

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
    const specifier = (match[1] ?? match[2])!;
    if (!specifier.startsWith(".")) return { file, specifier, target: undefined };
    const path = relative(ROOT, resolve(ROOT, dirname(file), specifier));
    return { file, specifier, target: path.endsWith(".ts") ? path : `${path}.ts` };
  });
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

function roomOf(file: string): string {
  const rooms = Object.keys(ROOMS).filter((room) => isWithin(file, room));
  assert(rooms.length > 0, `${file} is in no room`);
  return rooms.reduce((longest, room) => room.length > longest.length ? room : longest);
}

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
