// Writes to standard output and standard error completely and immediately, because a command that exits right afterwards
// must not leave text in a buffer.
import { isMungeError } from "../../lib/errors.ts";
import { isReaderGone, writeWhole } from "../../lib/os/standard_streams.ts";
import { failureText } from "../../lib/os/system_text.ts";

/**
 * Writes `text` to standard output; ignores that the reader is gone.
 *
 * @throws the system's error if it can't be written.
 */
export function print(text: string): void {
  try {
    writeWhole(1, new TextEncoder().encode(text));
  } catch (error) {
    if (!isReaderGone(error)) throw error;
  }
}

/** Writes `text` to standard error; if that fails, there is nowhere to report it. */
export function printError(text: string): void {
  try {
    writeWhole(2, new TextEncoder().encode(text));
  } catch {
    // only the exit status remains
  }
}

/** Reports a failure as `program: Error: text`. Returns its exit status. */
export function reportFailure(program: string, error: unknown): number {
  const prefix = program === "" ? "" : `${program}: `;
  printError(`${prefix}Error: ${failureText(error)}\n`);
  return isMungeError(error) ? error.errno : 1;
}

/** Reports a problem that does not end the command as `program: Warning: text`. */
export function reportWarning(program: string, text: string): void {
  printError(`${program}: Warning: ${text}\n`);
}
