// Writing to standard output and standard error, whole and at once: a command that ends right after
// must not leave text in a buffer.
import { writeSync } from "node:fs";
import { MungeError } from "../lib/errors.ts";

/** Writes `text` to standard output. @throws the system's error when it can't be written. */
export function print(text: string): void {
  writeWhole(1, text);
}

/** Writes `text` to standard error. */
export function printError(text: string): void {
  writeWhole(2, text);
}

/** Reports a failure as `program: Error: text` and gives the exit status that goes with it. */
export function reportFailure(program: string, error: unknown): number {
  const text = error instanceof Error ? error.message : String(error);
  const prefix = program === "" ? "" : `${program}: `;
  printError(`${prefix}Error: ${text}\n`);
  return error instanceof MungeError ? error.errno : 1;
}

function writeWhole(fd: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) written += writeSync(fd, bytes, written);
}
