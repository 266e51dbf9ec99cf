// Detects arguments that the runtime has altered: it replaces bytes that are not UTF-8, and the result must not pass for
// what the user typed.
import { readFileSync } from "node:fs";
import { MungeError } from "../../lib/errors.ts";

/** The runtime's replacement for bytes that are not UTF-8; a user may also have typed it. */
const REPLACEMENT = "\ufffd";

/**
 * Refuses arguments that the runtime could not decode.
 *
 * @throws {MungeError} EMUNGE_SNAFU for the first one with a replacement that was not typed.
 */
export function requireDecodable(args: readonly string[]): void {
  const typed = typedArguments();
  for (const argument of args) {
    if (!argument.includes(REPLACEMENT) || typed.has(argument)) continue;
    throw new MungeError("EMUNGE_SNAFU", `Argument "${argument}" is not in UTF-8`);
  }
}

/** The valid UTF-8 arguments, from the kernel; none if it does not provide them. */
function typedArguments(): Set<string> {
  const typed = new Set<string>();
  if (process.platform !== "linux") return typed;
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const bytes = readFileSync("/proc/self/cmdline");
  for (let start = 0; start < bytes.length;) {
    const nul = bytes.indexOf(0, start);
    const end = nul < 0 ? bytes.length : nul;
    try {
      typed.add(decoder.decode(bytes.subarray(start, end)));
    } catch {
      // the one to refuse
    }
    start = end + 1;
  }
  return typed;
}
