// Makes dist/node-tests: the library's tests as JavaScript, because Node.js 20 does not run TypeScript. They
// import the npm package that scripts/build_lib.ts built, by its name.
import { readdirSync, rmSync } from "node:fs";

const OUTPUT = "dist/node-tests";

/** The package's entry points, as the tests import them and as its users do. */
const ENTRIES: readonly (readonly [file: RegExp, name: string])[] = [
  [/\/mod\.ts$/, "mungebox"],
  [/\/lib\/offline\/offline\.ts$/, "mungebox/offline"],
  [/\/lib\/client\/protocol\.ts$/, "mungebox/protocol"],
];

rmSync(OUTPUT, { recursive: true, force: true });
const build = await Bun.build({
  entrypoints: readdirSync("tests/mod").filter((name) => name.endsWith("_test.ts"))
    .map((name) => `tests/mod/${name}`),
  outdir: OUTPUT,
  target: "node",
  packages: "external",
  plugins: [{
    name: "the built library",
    setup({ onResolve }) {
      for (const [file, name] of ENTRIES) {
        onResolve({ filter: file }, () => ({ path: name, external: true }));
      }
    },
  }],
});
for (const log of build.logs) console.error(log);
process.exit(build.success ? 0 : 1);
