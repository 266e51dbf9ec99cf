// Compiles the executable: dist/mungebox for this machine.
import { mkdirSync, renameSync, rmSync } from "node:fs";

/** Files that are started as programs or threads of their own; the first is the program. */
const ENTRY_POINTS = [
  "cli/main.ts",
  "cli/remunge_worker.ts",
  "daemon/worker.ts",
  "daemon/groups_worker.ts",
];

/** Compiles for a target of `bun build`, or for this machine; replaced only when it is whole. */
function compile(output: string, target?: string): void {
  const unfinished = `${output}.part`;
  const build = Bun.spawnSync([
    process.execPath,
    "build",
    "--compile",
    "--minify",
    "--bytecode",
    "--splitting",
    "--format=esm",
    ...(target === undefined ? [] : [`--target=${target}`]),
    ...ENTRY_POINTS,
    `--outfile=${unfinished}`,
  ], { stdio: ["ignore", "pipe", "pipe"] });
  if (!build.success) {
    process.stderr.write(build.stdout);
    process.stderr.write(build.stderr);
    rmSync(unfinished, { force: true });
    process.exit(1);
  }
  renameSync(unfinished, output);
}

mkdirSync("dist", { recursive: true });
compile("dist/mungebox");
