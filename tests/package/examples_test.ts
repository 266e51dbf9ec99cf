// Every example in the README, the documentation and the doc comments, type-checked and run in Bun, Deno and Node.js, in a
// project that has the npm package installed, with munged at the expected socket.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { Munged, PROGRAMS } from "../mod/daemons.ts";
import { findExamples, plain, promisedOutput, type Runtime, RUNTIMES } from "./examples.ts";
import { npmProject, run } from "./project.ts";
import { suite } from "../suite.ts";

const examples = findExamples();
const program = PROGRAMS.find(({ skip }) => skip === false);
const COMMANDS: { readonly [runtime in Runtime]: readonly string[] } = {
  bun: [resolve("node_modules/.bin/bun"), "run"],
  deno: [resolve("node_modules/.bin/deno"), "run", "--allow-all", "--no-check"],
  node: ["node"],
};
const TSCONFIG = {
  compilerOptions: {
    target: "ES2022",
    lib: ["ES2022", "ESNext.Disposable"],
    module: "NodeNext",
    types: ["node"],
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    moduleDetection: "force",
  },
  include: ["*.ts"],
};

suite("examples", program === undefined && "munged is not available", () => {
  let project: string;
  const munged = new Munged(program!);
  before(async () => {
    await munged.start();
    project = npmProject("examples");
    symlinkSync(resolve("node_modules/@types"), join(project, "node_modules/@types"));
    symlinkSync(resolve("node_modules/undici-types"), join(project, "node_modules/undici-types"));
    setDefaultSocket(join(project, "node_modules/mungebox/dist/npm"), munged.socketPath);
    for (const { file, code } of examples) writeFileSync(join(project, file), code);
    await transpile(project);
  });
  after(() => munged.stop());

  test("exist in the documentation and in the code", () => {
    for (
      const file of ["docs/library.md", "mod.ts", "lib/client/encode.ts", "lib/client/decode.ts"]
    ) {
      assert.ok(examples.some(({ place }) => place.startsWith(file)), file);
    }
  });

  test("type-check against the package's types", () => {
    const exclude = examples.filter(({ only }) => only !== undefined).map(({ file }) => file);
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ ...TSCONFIG, exclude }));
    run(["tsc", "--project", project]);
  });

  for (const { place, file, code, only } of examples) {
    for (const runtime of RUNTIMES) {
      if (only !== undefined && only !== runtime) continue;
      test(`${place} runs under ${runtime}`, async () => {
        const path = runtime === "node" ? join("node", file.replace(/ts$/, "js")) : file;
        const printed = (await output([...COMMANDS[runtime], path], project)).split("\n").map(
          plain,
        );
        for (const promise of promisedOutput(code)) {
          const at = printed.indexOf(promise);
          assert.ok(at >= 0, `prints ${promise}, not ${printed}`);
          printed.splice(0, at + 1);
        }
      });
    }
  }
});

/** Makes the installed package use a different socket than the site's. */
function setDefaultSocket(folder: string, socketPath: string): void {
  const path = join(folder, "lib/paths.js");
  const code = readFileSync(path, "utf8");
  const changed = code.replace(/(DEFAULT_SOCKET = )[^;]+;/, `$1${JSON.stringify(socketPath)};`);
  assert.notEqual(changed, code);
  writeFileSync(path, changed);
}

/** Compiles the examples to JavaScript in the folder "node", for Node.js 20. */
async function transpile(project: string): Promise<void> {
  const names = examples.filter(({ only }) => only === undefined || only === "node")
    .map(({ file }) => join(project, file));
  const built = await Bun.build({
    entrypoints: [...new Set(names)],
    root: project,
    outdir: join(project, "node"),
    target: "node",
    packages: "external",
  });
  assert.ok(built.success, built.logs.join("\n"));
}

function output(command: readonly string[], cwd: string): Promise<string> {
  const [name, ...rest] = command;
  const env = { ...process.env, NO_COLOR: "1", NODE_NO_WARNINGS: "1" };
  const child = spawn(name!, rest, {
    cwd,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 300_000,
  });
  let printed = "";
  let said = "";
  child.stdout.on("data", (piece) => printed += piece);
  child.stderr.on("data", (piece) => said += piece);
  return new Promise((resolve, reject) => {
    child.on("close", (status) => {
      if (status === 0 && said === "") resolve(printed);
      else reject(new Error(`status ${status}: ${printed}${said}`));
    });
  });
}
