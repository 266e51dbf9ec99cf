// Compiles the executable: dist/mungebox for this machine; dist/mungebox-SYSTEM for another system; or, with --all, those for
// every system, with SHA256SUMS and a software bill of materials (SBOM). Manual pages and completions go to dist/share.
//   bun scripts/build.ts [--all | --system SYSTEM] [--output DIR]
// or compiles the SPANK plugin alone, dist/auks.so, against the installed Slurm's headers. It runs the executable at PATH.
//   bun scripts/build.ts --spank [--program PATH] [--output DIR]
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { BunPlugin } from "bun";
import { AUKS_SHARE, MUNGE_SHARE, writeShare } from "./manual/write.ts";
import { closedRuntime } from "./runtime/runtime.ts";

/** Files that start as programs or threads of their own; the first is the program. */
const ENTRY_POINTS = [
  "cli/main.ts",
  "cli/remunge/thread.ts",
  "daemon/munged/serve/worker.ts",
  "daemon/munged/groups/thread.ts",
  "daemon/munged/replay_store/thread.ts",
  "daemon/auksd/accounts_thread.ts",
  "daemon/auksd/files_thread.ts",
  "daemon/auksd/replication_thread.ts",
  "daemon/auksdrenewer/kdc_thread.ts",
];

/**
 * Commands that are bundled into one module each, with a copy of everything they import, because they are
 * started most often: loading a module takes 60 us, and `munge -n` would load fourteen. They must not use
 * import(): code shared with a dynamically imported module is evaluated through functions, which takes longer.
 */
const SINGLE_MODULES = ["cli/munge/munge.ts", "cli/unmunge.ts"];

/** Supported systems, with the package of their runtime. */
const TARGETS: Readonly<Record<string, string>> = {
  "linux-x64": "@oven/bun-linux-x64",
  "linux-arm64": "@oven/bun-linux-aarch64",
  "linux-x64-musl": "@oven/bun-linux-x64-musl",
  "linux-arm64-musl": "@oven/bun-linux-aarch64-musl",
  "darwin-x64": "@oven/bun-darwin-x64",
  "darwin-arm64": "@oven/bun-darwin-aarch64",
  "freebsd-x64": "@oven/bun-freebsd-x64",
};

/**
 * Rewrites code to have fewer functions, because the first call of each takes some microseconds: Bun's bundler does not
 * inline functions that are called in one place.
 */
function inlineFunctions(code: string): string {
  const command = ["node_modules/.bin/uglifyjs", "--module", "--compress", "--mangle"];
  const result = Bun.spawnSync(command, { stdio: [Buffer.from(code), "pipe", "inherit"] });
  if (!result.success) throw new Error("uglifyjs failed");
  return result.stdout.toString();
}

/** Replaces each of SINGLE_MODULES by the bundle Bun makes of it. */
async function singleModules(): Promise<BunPlugin> {
  const bundles = new Map<string, string>();
  for (const file of SINGLE_MODULES) {
    const { outputs } = await Bun.build({ entrypoints: [file], target: "bun" });
    bundles.set(resolve(file), inlineFunctions(await outputs[0]!.text()));
  }
  return {
    name: "single-modules",
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const contents = bundles.get(path);
        return contents === undefined ? undefined : { contents, loader: "js" };
      });
    },
  };
}

/** How to compile an executable. */
interface Compilation {
  readonly plugin: BunPlugin;
  /** A key of TARGETS; this machine if absent. */
  readonly target?: string;
}

/** Compiles an executable; replaces `output` only once it is complete. */
async function compile(output: string, { plugin, target }: Compilation): Promise<void> {
  // The runtime records the name it is compiled under; a constant one keeps builds identical.
  const directory = mkdtempSync(`${output}.`);
  const unfinished = join(directory, "mungebox");
  try {
    await Bun.build({
      entrypoints: ENTRY_POINTS,
      plugins: [plugin],
      compile: {
        outfile: unfinished,
        executablePath: closedRuntime(target && TARGETS[target]),
        ...(target === undefined ? {} : { target: `bun-${target}` as Bun.Build.CompileTarget }),
        // Files in the current directory must not affect what it does.
        autoloadDotenv: false,
        autoloadBunfig: false,
      },
      format: "esm",
      splitting: true,
      minify: true,
      bytecode: true,
    });
    renameSync(unfinished, output);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The dependencies in CycloneDX format, from npm, without the fields that differ from run to run. */
function formatSbom(): string {
  const npm = Bun.spawnSync([
    "npm",
    "sbom",
    "--sbom-format=cyclonedx",
    "--sbom-type=application",
    "--package-lock-only",
  ], { stdio: ["ignore", "pipe", "inherit"] });
  if (!npm.success) throw new Error("npm sbom failed");
  const sbom = JSON.parse(npm.stdout.toString());
  delete sbom.serialNumber;
  delete sbom.metadata.timestamp;
  sbom.metadata.component.name = "mungebox"; // npm puts the directory's name there
  return `${JSON.stringify(sbom, null, 2)}\n`;
}

/** Compiles the SPANK plugin; replaces `output` only once it is complete. */
function compilePlugin(output: string, program: string): void {
  const unfinished = `${output}.new`;
  const gcc = Bun.spawnSync([
    "gcc",
    "-std=gnu11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-D_FORTIFY_SOURCE=2",
    "-fstack-protector-strong",
    "-fPIC",
    "-shared",
    "-Wl,-z,relro,-z,now",
    `-DMUNGEBOX=${JSON.stringify(program)}`,
    "-o",
    unfinished,
    "packaging/slurm/auks.c",
  ], { stdio: ["ignore", "inherit", "inherit"] });
  if (!gcc.success) {
    throw new Error(
      "auks.so can't be compiled; it needs gcc and Slurm's headers (libslurm-dev or slurm-devel)",
    );
  }
  renameSync(unfinished, output);
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

const { all, system, spank, program, output } = parseArgs({
  options: {
    all: { type: "boolean", default: false },
    system: { type: "string" },
    spank: { type: "boolean", default: false },
    program: { type: "string", default: "/usr/bin/mungebox" },
    output: { type: "string", default: "dist" },
  },
}).values;
mkdirSync(output, { recursive: true });
if (spank) compilePlugin(join(output, "auks.so"), program);
else await compileExecutables();

async function compileExecutables(): Promise<void> {
  writeShare(join(output, "share"), MUNGE_SHARE);
  writeShare(join(output, "share-auks"), AUKS_SHARE);
  const plugin = await singleModules();
  if (system !== undefined) {
    if (!(system in TARGETS)) {
      throw new Error(`Unknown system "${system}"; known: ${Object.keys(TARGETS).join(", ")}`);
    }
    await compile(join(output, `mungebox-${system}`), { plugin, target: system });
  } else if (all) {
    const names: string[] = [];
    for (const target of Object.keys(TARGETS)) {
      const name = `mungebox-${target}`;
      await compile(join(output, name), { plugin, target });
      names.push(name);
    }
    writeFileSync(join(output, "mungebox.cdx.json"), formatSbom());
    const sums = [...names, "mungebox.cdx.json"].map((name) =>
      `${sha256(join(output, name))}  ${name}\n`
    );
    writeFileSync(join(output, "SHA256SUMS"), sums.join(""));
  } else {
    await compile(join(output, "mungebox"), { plugin });
  }
}
