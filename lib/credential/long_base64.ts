// Base64 (RFC 4648, padded) of long credentials, from bytes to bytes. The engine's own is faster, but makes strings of
// many MiB, which it counts as little garbage because their characters are elsewhere. armor.ts has the armor around it.

const ALPHABET = new TextEncoder().encode(
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
);
const PAD = 0x3d;
/** The value of each character; with its highest bit set if it is not in the alphabet. */
const VALUES = new Uint8Array(256).fill(0x80);
ALPHABET.forEach((character, value) => VALUES[character] = value);

/** Writes the base64 of `bytes` to `target`, starting at `at`. */
export function writeLongBase64(bytes: Uint8Array, target: Uint8Array, at: number): void {
  const whole = bytes.length - bytes.length % 3;
  let to = at;
  for (let from = 0; from < whole; from += 3) {
    const bits = bytes[from]! << 16 | bytes[from + 1]! << 8 | bytes[from + 2]!;
    target[to] = ALPHABET[bits >> 18]!;
    target[to + 1] = ALPHABET[bits >> 12 & 63]!;
    target[to + 2] = ALPHABET[bits >> 6 & 63]!;
    target[to + 3] = ALPHABET[bits & 63]!;
    to += 4;
  }
  const rest = bytes.length - whole;
  if (rest === 0) return;
  const bits = bytes[whole]! << 16 | (rest === 2 ? bytes[whole + 1]! << 8 : 0);
  target[to] = ALPHABET[bits >> 18]!;
  target[to + 1] = ALPHABET[bits >> 12 & 63]!;
  target[to + 2] = rest === 2 ? ALPHABET[bits >> 6 & 63]! : PAD;
  target[to + 3] = PAD;
}

/**
 * The bytes whose base64 is in `source`, from `start` to `end`.
 *
 * @param allocate provides memory for them.
 * @returns undefined for anything but the one form that {@linkcode writeLongBase64} writes, such as white space in between.
 */
export function readLongBase64(
  source: Uint8Array,
  start: number,
  end: number,
  allocate: (length: number) => Uint8Array,
): Uint8Array | undefined {
  const length = end - start;
  if (length === 0 || length % 4 !== 0) return undefined;
  const padding = source[end - 1] !== PAD ? 0 : source[end - 2] !== PAD ? 1 : 2;
  const bytes = allocate(length / 4 * 3 - padding);
  const whole = padding === 0 ? end : end - 4;
  let to = 0;
  let invalid = 0;
  for (let from = start; from < whole; from += 4) {
    const a = VALUES[source[from]!]!;
    const b = VALUES[source[from + 1]!]!;
    const c = VALUES[source[from + 2]!]!;
    const d = VALUES[source[from + 3]!]!;
    invalid |= a | b | c | d;
    bytes[to] = a << 2 | b >> 4;
    bytes[to + 1] = b << 4 | c >> 2;
    bytes[to + 2] = c << 6 | d;
    to += 3;
  }
  if (padding > 0) {
    const a = VALUES[source[whole]!]!;
    const b = VALUES[source[whole + 1]!]!;
    const c = padding === 1 ? VALUES[source[whole + 2]!]! : 0;
    invalid |= a | b | c;
    bytes[to] = a << 2 | b >> 4;
    if (padding === 1) bytes[to + 1] = b << 4 | c >> 2;
    // Bits that belong to no byte must be 0.
    if ((padding === 1 ? c & 3 : b & 15) !== 0) return undefined;
  }
  return (invalid & 0x80) === 0 ? bytes : undefined;
}
