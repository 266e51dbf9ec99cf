// The runtimes that executables are made from: Bun's package for each system, pinned by version and hash in
// package-lock.json, and closed against environment variables.
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { letScavengerSleep } from "./code.ts";
import { Elf, isLinuxElf } from "./elf.ts";
import { setEntry } from "./entry.ts";

const CACHE = "node_modules/.cache/runtimes";

/**
 * Environment variables that could make an executable run code other than ours: options such as --preload, the
 * plain runtime instead of the program, or a debugger. No build option disables them, so their names are
 * replaced by empty strings, which no variable can have as its name.
 */
const CLOSED_VARIABLES = [
  "BUN_OPTIONS",
  "BUN_BE_BUN",
  "BUN_INSPECT",
  "BUN_INSPECT_PRELOAD",
  "BUN_INSPECT_CONNECT_TO",
];

/** A copy of a runtime that ignores those variables. */
function closeRuntime(runtime: Uint8Array): Uint8Array {
  const closed = Buffer.from(runtime);
  for (const name of CLOSED_VARIABLES) {
    const text = Buffer.from(`\0${name}\0`);
    const at = closed.indexOf(text);
    if (at < 0 || closed.indexOf(text, at + 1) >= 0) {
      throw new Error(`The runtime's variable ${name} is not where it was expected`);
    }
    closed[at + 1] = 0;
  }
  if (isLinuxElf(closed)) {
    setEntry(closed);
    letScavengerSleep(closed, new Elf(closed).architecture);
  }
  return closed;
}

/** Runs a program that must succeed. Returns its standard output. */
function run(...command: string[]): string {
  const result = Bun.spawnSync(command, { stdio: ["ignore", "pipe", "inherit"] });
  if (!result.success) throw new Error(`${command[0]} failed with status ${result.exitCode}`);
  return result.stdout.toString();
}

/** Unpacks a package from the registry into `directory`, after checking its hash against the lock file. */
function fetchPackage(name: string, directory: string): void {
  const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
  const { version, integrity } = lock.packages[`node_modules/${name}`];
  const file = run(
    "npm",
    "pack",
    "--silent",
    `--pack-destination=${directory}`,
    `${name}@${version}`,
  );
  const archive = join(directory, file.trim());
  const hash = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
  if (hash !== integrity) throw new Error(`${name}@${version} is not what package-lock.json pins`);
  run("tar", "-xzf", archive, "-C", directory);
  rmSync(archive);
}

/** Identifies the changes made to a runtime, so that a cached one from before a change of these files is not used. */
function changes(): string {
  const hash = createHash("sha256");
  for (const name of ["code.ts", "elf.ts", "entry.ts", "runtime.ts"]) {
    hash.update(readFileSync(join(import.meta.dirname, name)));
  }
  return hash.digest("hex").slice(0, 12);
}

/** Path of the closed runtime of a package `@oven/bun-...`, or of the runtime that runs this. */
export function closedRuntime(packageName?: string): string {
  const directory = join(CACHE, `${packageName ?? "host"}-${Bun.version}-${changes()}`);
  const path = join(directory, "bun");
  if (existsSync(path)) return path;
  mkdirSync(directory, { recursive: true });
  let original = process.execPath;
  if (packageName !== undefined) {
    fetchPackage(packageName, directory);
    original = join(directory, "package/bin/bun");
  }
  const closed = closeRuntime(readFileSync(original));
  rmSync(join(directory, "package"), { recursive: true, force: true });
  writeFileSync(`${path}.part`, closed);
  chmodSync(`${path}.part`, 0o755);
  run("mv", `${path}.part`, path);
  return path;
}
