// Packages made by scripts/package.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { MUNGEBOX } from "../harness/programs.ts";

/** Packages that have been built, by the directory and name. */
const built = new Map<string, string>();

/** Builds a package, unless it has been built in that directory before. @returns its path. */
export function buildPackage(
  format: "deb" | "rpm",
  output: string,
  options: readonly string[] = [],
): string {
  const known = built.get(`${output} ${format} ${options}`);
  if (known !== undefined) return known;
  const args = [format, ...options, `--binary=${MUNGEBOX}`, `--output=${output}`];
  const { status, stdout, stderr } = spawnSync("scripts/package", args, {
    encoding: "utf8",
    env: { ...process.env, SOURCE_DATE_EPOCH: "1700000000" },
  });
  assert.equal(status, 0, `${stdout}${stderr}`);
  const path = join(output, readdirSync(output).find((name) => name.endsWith(format))!);
  built.set(`${output} ${format} ${options}`, path);
  return path;
}
