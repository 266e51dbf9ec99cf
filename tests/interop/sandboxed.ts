// Runs commands with our programs in a sandbox, for tests that do not compare with the reference.
import { existsSync, rmSync } from "node:fs";
import { installPrograms } from "./parity/harness.ts";
import { runInSandbox } from "./parity/sandbox.ts";

/** Options of a test that needs root and files of Debian packages; skipped without them. */
export function needs(...files: readonly string[]): { skip?: string } {
  const missing = files.filter((file) => !existsSync(file));
  if (process.getuid?.() !== 0) return { skip: "needs root" };
  return missing.length === 0 ? {} : { skip: `needs ${missing.join(", ")}` };
}

/** Lines of standard output, and the complete outcome for failure messages. */
export interface Outcome {
  readonly output: readonly string[];
  readonly whole: string;
}

/** The outcome of `commands`, see sandbox.sh; with `network`, in their own network. */
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
