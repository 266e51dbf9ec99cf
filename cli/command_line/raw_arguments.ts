// Recovers arguments that are not UTF-8: the runtime replaces their bytes, and the result must not be mistaken for what the
// user typed. The kernel still has the bytes.
import { readFileSync } from "node:fs";
import { MungeError } from "../../lib/errors.ts";
import { escapeBytes } from "./argument_bytes.ts";

/** The runtime's replacement for bytes that are not UTF-8, which a user may also have typed. */
const REPLACEMENT = "\ufffd";

/**
 * The arguments with their original bytes, in the form of {@linkcode escapeBytes}.
 *
 * @param args the last words of the command line.
 * @throws {MungeError} EMUNGE_SNAFU if the system does not provide them.
 */
export function recoverArguments(args: readonly string[]): string[] {
  const typed = typedWords().slice(-args.length);
  return args.map((argument, index) => {
    if (!argument.includes(REPLACEMENT)) return argument;
    const bytes = typed[index];
    if (
      bytes === undefined ||
      new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes) !== argument
    ) {
      throw new MungeError("EMUNGE_SNAFU", `Argument "${argument}" is not in UTF-8`);
    }
    return escapeBytes(bytes);
  });
}

/** The words of the command line, from the kernel; none if it does not provide them. */
function typedWords(): Uint8Array[] {
  const words: Uint8Array[] = [];
  let bytes: Uint8Array;
  try {
    bytes = readFileSync("/proc/self/cmdline");
  } catch {
    return words;
  }
  for (let start = 0; start < bytes.length;) {
    const nul = bytes.indexOf(0, start);
    const end = nul < 0 ? bytes.length : nul;
    words.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return words;
}
