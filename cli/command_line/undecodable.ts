// What the runtime made of the command line: it replaces bytes that are not UTF-8, which must not pass for
// what the user typed.
import { readFileSync } from "node:fs";
import { MungeError } from "../../lib/errors.ts";

/** What the runtime puts where bytes were no UTF-8; a user may have typed it, too. */
const REPLACEMENT = "\ufffd";

/**
 * Refuses arguments that the runtime could not decode.
 *
 * @throws {MungeError} EMUNGE_SNAFU for the first one that has such a replacement, unless it was typed.
 */
export function requireDecodable(args: readonly string[]): void {
  const typed = typedArguments();
  for (const argument of args) {
    if (!argument.includes(REPLACEMENT) || typed.has(argument)) continue;
    throw new MungeError("EMUNGE_SNAFU", `Argument "${argument}" is not in UTF-8`);
  }
}

/** The arguments that are UTF-8, as the kernel has them; none where it does not tell. */
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
      // the one to be refused
    }
    start = end + 1;
  }
  return typed;
}
