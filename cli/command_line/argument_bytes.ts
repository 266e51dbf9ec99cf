// Represents bytes of command lines and names that are not UTF-8 in strings: the byte 0x80 + n becomes the lone surrogate
// U+DC80 + n, which never results from decoding UTF-8 (PEP 383). Options that take any bytes convert them back; all others
// refuse them.
import { MungeError } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";

const ESCAPE = 0xdc00;
const ESCAPED = /[\udc80-\udcff]/u;
/** Escaped bytes that are control characters (C1) in 8-bit encodings. */
const CONTROLS = /[\udc80-\udc9f]/gu;
/** The maximum length of a UTF-8 sequence. */
const MAX_SEQUENCE = 4;

/** Bytes as a string, with those that are not UTF-8 escaped. */
export function escapeBytes(bytes: Uint8Array): string {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    return decoder.decode(bytes);
  } catch {
    // not UTF-8 as a whole
  }
  let text = "";
  for (let at = 0; at < bytes.length;) {
    let length = 1;
    let decoded: string | undefined;
    for (; decoded === undefined && length <= MAX_SEQUENCE; length++) {
      try {
        decoded = decoder.decode(bytes.subarray(at, at + length));
      } catch {
        // not a sequence of this length
      }
    }
    text += decoded ?? String.fromCharCode(ESCAPE + bytes[at]!);
    at += decoded === undefined ? 1 : length - 1;
  }
  return text;
}

/** The bytes of an argument as the user gave it. */
export function argumentBytes(text: string): Uint8Array {
  const encoder = new TextEncoder();
  if (!ESCAPED.test(text)) return encoder.encode(text);
  const parts: number[] = [];
  for (const character of text) {
    if (ESCAPED.test(character)) parts.push(character.charCodeAt(0) - ESCAPE);
    else parts.push(...encoder.encode(character));
  }
  return Uint8Array.from(parts);
}

/** Like printable(), but keeps escaped bytes unless a terminal without UTF-8 could take them for control characters. */
export function printableBytes(text: string): string {
  return text.split(/([\udca0-\udcff]+)/u).map((part, index) => {
    if (index % 2 === 1) return part;
    return printable(
      part.replace(CONTROLS, (byte) => String.fromCharCode(byte.charCodeAt(0) - ESCAPE)),
    );
  }).join("");
}

/** Refuses an argument with bytes that are not UTF-8. */
export function requireText(text: string): void {
  if (text.isWellFormed()) return; // faster than a pattern, which must be compiled first
  const shown = text.replace(new RegExp(ESCAPED, "gu"), "\ufffd");
  throw new MungeError("EMUNGE_SNAFU", `Argument "${shown}" is not in UTF-8`);
}
