// Makes foreign text (from another host, a credential, a daemon, a name service, a log) safe for a terminal or a log:
// without escape sequences, line ends, or characters that change the direction of text.

/**
 * Control characters (C0, DEL, C1), line and paragraph separators, characters that control bidirectional text, and
 * unpaired surrogates.
 */
const UNPRINTABLE =
  /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * The text in one line, with everything unprintable as an escape sequence.
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

/** A value as one line of JSON, with everything unprintable as a JSON escape sequence. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replace(
    UNPRINTABLE,
    (character) => `\\u${hex(character.charCodeAt(0), 4)}`,
  );
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
}
