// Compiles the executable: dist/mungebox for this machine; with --all, dist/mungebox-SYSTEM for every system,
// SHA256SUMS, and a list of what went in (SBOM). Manual pages and completions go to dist/share.
//   bun scripts/build.ts [--all] [--output DIR]
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeShare } from "./manual/write.ts";
import { closedRuntime } from "./runtime.ts";

/** Files that are started as programs or threads of their own; the first is the program. */
const ENTRY_POINTS = [
  "cli/main.ts",
  "cli/remunge_worker.ts",
  "daemon/worker.ts",
  "daemon/groups_worker.ts",
];

/** The systems there are executables for, by the package of their runtime. */
const TARGETS: Readonly<Record<string, string>> = {
  "linux-x64": "@oven/bun-linux-x64",
  "linux-arm64": "@oven/bun-linux-aarch64",
  "linux-x64-musl": "@oven/bun-linux-x64-musl",
  "linux-arm64-musl": "@oven/bun-linux-aarch64-musl",
  "darwin-x64": "@oven/bun-darwin-x64",
  "darwin-arm64": "@oven/bun-darwin-aarch64",
  "freebsd-x64": "@oven/bun-freebsd-x64",
};

/** Compiles for a target, or for this machine; `output` is replaced only when it is whole. */
function compile(output: string, target?: string): void {
  // The runtime records the name it is compiled under, which must not make a difference.
  const directory = mkdtempSync(`${output}.`);
  const unfinished = join(directory, "mungebox");
  const build = Bun.spawnSync([
    process.execPath,
    "build",
    "--compile",
    "--minify",
    "--bytecode",
    "--splitting",
    "--format=esm",
    // Files in the directory it is started in must not decide what it does.
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    ...(target === undefined ? [] : [`--target=bun-${target}`]),
    `--compile-executable-path=${closedRuntime(target && TARGETS[target])}`,
    ...ENTRY_POINTS,
    `--outfile=${unfinished}`,
  ], { stdio: ["ignore", "pipe", "pipe"] });
  if (!build.success) {
    process.stderr.write(build.stdout);
    process.stderr.write(build.stderr);
  } else {
    renameSync(unfinished, output);
  }
  rmSync(directory, { recursive: true });
  if (!build.success) process.exit(1);
}

/** The dependencies in CycloneDX, by npm; without what differs from run to run. */
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
  sbom.metadata.component.name = "mungebox"; // npm has the directory's name there
  return `${JSON.stringify(sbom, null, 2)}\n`;
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

const { all, output } = parseArgs({
  options: {
    all: { type: "boolean", default: false },
    output: { type: "string", default: "dist" },
  },
}).values;
mkdirSync(output, { recursive: true });
writeShare(join(output, "share"));
if (all) {
  const names = Object.keys(TARGETS).map((target) => {
    compile(join(output, `mungebox-${target}`), target);
    return `mungebox-${target}`;
  });
  writeFileSync(join(output, "mungebox.cdx.json"), formatSbom());
  const sums = [...names, "mungebox.cdx.json"].map((name) =>
    `${sha256(join(output, name))}  ${name}\n`
  );
  writeFileSync(join(output, "SHA256SUMS"), sums.join(""));
} else {
  compile(join(output, "mungebox"));
}
