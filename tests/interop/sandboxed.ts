// Runs commands with our programs in a sandbox of their own, for tests that compare nothing.
import { existsSync, rmSync } from "node:fs";
import { installPrograms } from "./parity/harness.ts";
import { runInSandbox } from "./parity/sandbox.ts";

/** Options of a test that needs root and files of Debian packages: skipped without. */
export function needs(...files: readonly string[]): { skip?: string } {
  const missing = files.filter((file) => !existsSync(file));
  if (process.getuid?.() !== 0) return { skip: "needs root" };
  return missing.length === 0 ? {} : { skip: `needs ${missing.join(", ")}` };
}

/** Lines of standard output, and the whole outcome for when they are not as expected. */
export interface Outcome {
  readonly output: readonly string[];
  readonly whole: string;
}

/** What became of `commands`, see sandbox.sh; `network` gives them one of their own. */
export async function runOurs(commands: string, network = false): Promise<Outcome> {
  const programs = installPrograms();
  try {
    const lines = await runInSandbox({ commands, network, programs });
    const output = lines.filter((line) => line.startsWith("1> ")).map((line) => line.slice(3));
    return { output, whole: lines.join("\n") };
  } finally {
    rmSync(programs, { recursive: true });
  }
}
