// Writing to standard output and standard error, whole and at once: a command that ends right after
// must not leave text in a buffer.
import { isMungeError } from "../../lib/errors.ts";
import { isReaderGone, writeWhole } from "../../lib/os/standard_streams.ts";

/**
 * Writes `text` to standard output; a reader that has gone away wants no more of it.
 *
 * @throws the system's error when it can't be written.
 */
export function print(text: string): void {
  try {
    writeWhole(1, new TextEncoder().encode(text));
  } catch (error) {
    if (!isReaderGone(error)) throw error;
  }
}

/** Writes `text` to standard error; where that can't be, there is nobody left to be told. */
export function printError(text: string): void {
  try {
    writeWhole(2, new TextEncoder().encode(text));
  } catch {
    // the exit status is what remains
  }
}

/** Reports a failure as `program: Error: text` and gives the exit status that goes with it. */
export function reportFailure(program: string, error: unknown): number {
  const text = error instanceof Error ? error.message : String(error);
  const prefix = program === "" ? "" : `${program}: `;
  printError(`${prefix}Error: ${text}\n`);
  return isMungeError(error) ? error.errno : 1;
}

/** Reports what does not end the command as `program: Warning: text`. */
export function reportWarning(program: string, text: string): void {
  printError(`${program}: Warning: ${text}\n`);
}
