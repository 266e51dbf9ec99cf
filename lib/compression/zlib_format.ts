// The zlib format (RFC 1950) around a bare deflate stream: a two-byte header and a checksum at the end.

const DEFLATE = 8;
const CHECKSUM_LENGTH = 4;

/** Wraps a deflate stream in the zlib format. `checksum` is the Adler-32 of the uncompressed data. */
export function zlibFormat(stream: Uint8Array, checksum: number): Uint8Array {
  const bytes = new Uint8Array(2 + stream.length + CHECKSUM_LENGTH);
  bytes[0] = 0x78; // deflate with a window of 32 KiB
  bytes[1] = 0x9c; // default level, and check bits
  bytes.set(stream, 2);
  new DataView(bytes.buffer).setUint32(2 + stream.length, checksum);
  return bytes;
}

/** The deflate stream inside, and the checksum. Throws for a header that is invalid or requires a dictionary. */
export function parseZlibFormat(bytes: Uint8Array): { stream: Uint8Array; checksum: number } {
  const [method = 0, flags = 0] = bytes;
  const isZlib = (method & 0x0f) === DEFLATE && method >> 4 <= 7 &&
    (method << 8 | flags) % 31 === 0;
  if (!isZlib || (flags & 0x20) !== 0 || bytes.length < 2 + CHECKSUM_LENGTH) {
    throw new Error("Not the zlib format");
  }
  const end = bytes.length - CHECKSUM_LENGTH;
  const checksum = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(end);
  return { stream: bytes.subarray(2, end), checksum };
}

/** The Adler-32 checksum (RFC 1950 section 8.2). */
export function adler32(data: Uint8Array): number {
  let a = 1;
  let b = 0;
  for (let at = 0; at < data.length;) {
    // This many bytes can be added before a sum could exceed 32 bits.
    for (const end = Math.min(at + 3800, data.length); at < end; at++) {
      a += data[at]!;
      b += a;
    }
    a %= 65_521;
    b %= 65_521;
  }
  return (b << 16 | a) >>> 0;
}
