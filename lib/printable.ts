// Text from elsewhere (another host, a credential, a daemon, a name service, a log) as it may reach a terminal or
// a log: without escape sequences, line ends, and characters that turn the direction of what follows.

/**
 * Control characters (C0, DEL, C1), line and paragraph separators, the characters that steer bidirectional text,
 * and halves of surrogate pairs.
 */
const UNPRINTABLE =
  /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * The text with whatever is not printable as an escape sequence, in one line.
 *
 * @example
 * ```ts
 * import { printable } from "./lib/printable.ts";
 *
 * console.log(printable("red \x1b[31m")); // "red \\x1b[31m"
 * ```
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
  });
}

/** A value as JSON in one line, with whatever is not printable as an escape sequence of JSON's. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replace(
    UNPRINTABLE,
    (character) => `\\u${hex(character.charCodeAt(0), 4)}`,
  );
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
}
