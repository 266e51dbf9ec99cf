// The programs under test: this project's executable with its links, and the system's MUNGE.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, linkSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";

/** Whose program: this project's, or the system's MUNGE. */
export type Make = "ours" | "reference";
/** Both. */
export const MAKES: readonly Make[] = ["ours", "reference"];

// What the user who runs the tests has set for munged must not reach theirs. Two of the names are the tests' own.
for (const name of Object.keys(process.env)) {
  if (/^MUNGE(BOX)?_(?!(AUKS|TEST)_)/.test(name)) delete process.env[name];
}

/** This project's executable. */
export const MUNGEBOX = resolve(process.env["MUNGEBOX"] ?? "dist/mungebox");
/** Its source, for tests that run it in Bun. */
export const MAIN = resolve(import.meta.dirname, "../../cli/main.ts");
/** The reference's daemon, if it is installed. */
export const REFERENCE_MUNGED = "/usr/sbin/munged";

/** Whether the reference is installed, and C programs can be linked with its library. */
export const hasReference = existsSync(REFERENCE_MUNGED) && existsSync("/usr/include/munge.h");
/** Whether the tests run as root. */
export const isRoot = process.geteuid!() === 0;

/** How a program ended. */
export interface Outcome {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** Creates `directory` with the executable and its links. */
export function installPrograms(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const mungebox = join(directory, "mungebox");
  try {
    linkSync(MUNGEBOX, mungebox);
  } catch { // another file system
    copyFileSync(MUNGEBOX, mungebox);
  }
  const { status, stderr } = spawnSync(mungebox, ["--install", directory]);
  assert.equal(status, 0, stderr?.toString());
}
