// The library as published: the contents of the npm package, that it installs into empty projects and works there, that
// JSR would accept it, and that its documentation and types are complete.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Munged, PROGRAMS } from "../mod/daemons.ts";
import { suite } from "../suite.ts";
import { emptyProject, npmProject, run, tarball } from "./project.ts";

/** The files behind the entry points of the package. */
const ENTRIES = [
  "mod.ts",
  "lib/offline/offline.ts",
  "lib/client/protocol.ts",
  "lib/auks_client/auks.ts",
];

const program = PROGRAMS.find(({ skip }) => skip === false);
const PROGRAM_TEXT = (socketPath: string) => `
import { decode, encode } from "mungebox";
const socketPath = ${JSON.stringify(socketPath)};
const { payload } = await decode(await encode("installed", { socketPath, zip: "bzlib" }), { socketPath });
console.log(new TextDecoder().decode(payload));
`;

test("the npm package has the library, types and source maps, but no programs", () => {
  const files = run(["tar", "tzf", tarball]).trim().split("\n");
  for (const ending of ["js", "d.ts", "js.map"]) {
    assert.ok(files.includes(`package/dist/npm/mod.${ending}`), ending);
  }
  for (const file of files) {
    assert.match(
      file,
      /^package\/(package\.json|README\.md|docs\/library\.md|LICENSES\/L?GPL-3\.0-or-later\.txt|dist\/npm\/(mod|lib\/.*)\.(js|d\.ts|js\.map))$/,
    );
  }
  const manifest = JSON.parse(run(["tar", "xzOf", tarball, "package/package.json"]));
  for (const licence of ["LGPL", "GPL"]) {
    assert.ok(files.includes(`package/LICENSES/${licence}-3.0-or-later.txt`), licence);
  }
  assert.equal(manifest.license, "LGPL-3.0-or-later"); // without the programs, which are under the GPL
  assert.equal(manifest.sideEffects, false);
  assert.deepEqual(Object.keys(manifest.exports), [
    ".",
    "./offline",
    "./protocol",
    "./auks",
    "./package.json",
  ]);
  assert.equal(manifest.bin, undefined);
});

suite("the npm package", program === undefined && "munged is not available", () => {
  const munged = new Munged(program!);
  before(() => munged.start());
  after(() => munged.stop());
  const works = (folder: string, command: readonly string[]) => {
    writeFileSync(join(folder, "main.mjs"), PROGRAM_TEXT(munged.socketPath));
    assert.equal(run([...command, "main.mjs"], folder), "installed\n");
  };

  test("installs into an empty Node.js project", () => {
    works(npmProject("node"), ["node"]);
  });

  test("installs into an empty Bun project", () => {
    const folder = emptyProject("bun");
    run(["bun", "add", tarball], folder);
    works(folder, ["bun", "run"]);
  });

  test("installs into an empty Deno project", () => {
    // Deno finds a package outside a registry through the links in deno.json.
    const folder = emptyProject("deno", {
      "deno.json": JSON.stringify({
        nodeModulesDir: "auto",
        links: ["./package"],
        imports: { mungebox: "npm:mungebox" },
      }),
    });
    run(["tar", "xzf", tarball], folder);
    run(["deno", "install"], folder);
    works(folder, ["deno", "run", "--allow-all"]);
  });

  test("can be bundled for Node.js without Bun's modules", () => {
    const folder = npmProject("bundle");
    writeFileSync(
      join(folder, "main.mjs"),
      PROGRAM_TEXT(munged.socketPath).replace("bzlib", "zlib"),
    );
    const options = ["--target=node", "--outfile=out.mjs"];
    run(["bun", "build", "main.mjs", ...options], folder);
    assert.equal(run(["grep", "-c", "encodeRequest", "out.mjs"], folder).length > 0, true);
    assert.throws(() => run(["grep", "bun:", "out.mjs"], folder));
    assert.equal(run(["node", "out.mjs"], folder), "installed\n");
  });
});

test("JSR would accept it: explicit types, every symbol documented", () => {
  run(["deno", "doc", "--lint", ...ENTRIES]);
  run(["deno", "publish", "--dry-run", "--allow-dirty"]);
});

test("every function and method documents its parameters and result, and has an example", () => {
  for (const { name, declarations: [declaration] } of symbols()) {
    const { kind, jsDoc, def } = declaration!;
    // A getter is described as a property is.
    const methods = (def.methods ?? []).filter(({ name, kind }) =>
      !name.startsWith("[") && kind !== "getter"
    );
    const callables: readonly Documented[] = kind === "function"
      ? [{ name, ...(jsDoc && { jsDoc }), params: def.params ?? [] }]
      : methods;
    for (const callable of callables) {
      const tags = callable.jsDoc?.tags ?? [];
      const count = (kind: string) => tags.filter((tag) => tag.kind === kind).length;
      const params = callable.params ?? callable.functionDef?.params ?? [];
      assert.equal(count("param"), params.length, `@param of ${name} ${callable.name}`);
      assert.equal(count("return"), 1, `@returns of ${name} ${callable.name}`);
    }
    if (["function", "class", "variable"].includes(kind) && !/^[A-Z_]+$/.test(name)) {
      assert.ok(jsDoc?.tags?.some((tag) => tag.kind === "example"), `@example of ${name}`);
    }
  }
});

/** Tables whose types deno doc does not infer, for numbers below 0; TypeScript does. */
const NOT_INFERRED = ["AUKS_ERRORS"];

test("no public signature contains any", () => {
  const search = (value: unknown, place: string): void => {
    if (typeof value !== "object" || value === null) return;
    const { kind, value: word } = value as { kind?: unknown; value?: unknown };
    assert.ok(!(kind === "keyword" && word === "any"), place);
    for (const [key, part] of Object.entries(value)) search(part, `${place}.${key}`);
  };
  const found = symbols().filter(({ name }) => !NOT_INFERRED.includes(name));
  assert.ok(found.length > 30);
  for (const symbol of found) search(symbol, symbol.name);
});

interface Documented {
  readonly name: string;
  readonly kind?: string;
  readonly jsDoc?: { readonly tags?: readonly { readonly kind: string }[] };
  readonly params?: readonly unknown[];
  readonly functionDef?: { readonly params: readonly unknown[] };
}
interface Symbol {
  readonly name: string;
  readonly declarations: readonly (Documented & {
    readonly kind: string;
    readonly def: {
      readonly methods?: readonly Documented[];
      readonly params?: readonly unknown[];
    };
  })[];
}

/** The public symbols, from deno doc. */
function symbols(): readonly Symbol[] {
  const { nodes } = JSON.parse(run(["deno", "doc", "--json", ...ENTRIES]));
  return (Object.values(nodes) as { symbols: readonly Symbol[] }[]).flatMap((node) => node.symbols);
}
