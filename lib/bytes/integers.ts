// Unsigned 32-bit integers in network byte order, as in messages and credentials. No DataView, because creating one takes
// the engine longer than these functions.

/** Writes 4 bytes, big-endian. Returns the offset after them. */
export function putU32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
  return at + 4;
}

/** Reads 4 bytes, big-endian. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}
