// Base64 (RFC 4648, padded) of long credentials, from bytes to bytes. It uses the engine's functions piece by piece: one
// string of many MiB would be garbage of which the engine counts little, because its characters are elsewhere.
// armor_reader.ts and armor_writer.ts handle the armor around it.

/** Characters at a time: as many as the engine still copies quickly. */
const PIECE_LENGTH = 32_768;
const PIECE_BYTES = PIECE_LENGTH / 4 * 3;
const PAD = 0x3d;
const STRICT = { lastChunkHandling: "strict" } as const;

/** In engines since 2025 (TC39 "Uint8Array to/from base64"). */
interface NativeBase64 {
  setFromBase64(text: string, options: typeof STRICT): { readonly written: number };
}

/** Methods of a Buffer that work on any Uint8Array, without a view of the piece. */
const { base64Slice, latin1Slice, latin1Write } = Buffer.prototype as unknown as {
  base64Slice(this: Uint8Array, start: number, end: number): string;
  latin1Slice(this: Uint8Array, start: number, end: number): string;
  latin1Write(this: Uint8Array, text: string, at: number): number;
};

/** Writes the base64 of `bytes` to `target`, starting at `at`. */
export function writeLongBase64(bytes: Uint8Array, target: Uint8Array, at: number): void {
  let to = at;
  for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
    const text = base64Slice.call(bytes, from, Math.min(from + PIECE_BYTES, bytes.length));
    to += latin1Write.call(target, text, to);
  }
}

/**
 * The bytes whose base64 is in `source`, from `start` to `end`.
 *
 * @param allocate provides memory for them.
 * @returns undefined for any other form than {@linkcode writeLongBase64} writes, such as one with white space.
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
  for (let from = start, to = 0; from < end; from += PIECE_LENGTH, to += PIECE_BYTES) {
    const text = latin1Slice.call(source, from, Math.min(from + PIECE_LENGTH, end));
    const rest = bytes.subarray(to, to + PIECE_BYTES);
    if (decode(rest, text) !== rest.length) return undefined;
  }
  return bytes;
}

/** Writes the bytes of a base64 text to `target`. Returns their number; 0 if the text is invalid. */
function decode(target: Uint8Array, text: string): number {
  try {
    return (target as unknown as NativeBase64).setFromBase64(text, STRICT).written;
  } catch {
    return 0;
  }
}
