// What requests and replies have in common: their types, and 4-byte big-endian numbers.

/** The number of each message. */
export const MESSAGE_TYPE = {
  ping: 0,
  list: 1,
  add: 2,
  get: 3,
  remove: 4,
  close: 5,
  dump: 6,
  /** Only in the files of `auks --send`. */
  credDump: 7,
  pingReply: 20,
  errorReply: 21,
  addReply: 23,
  getReply: 24,
  removeReply: 25,
  dumpReply: 26,
} as const;

/**
 * Writes 4-byte numbers, followed by bytes.
 *
 * @param numbers the numbers.
 * @param tail the bytes.
 * @returns a new buffer.
 */
export function formatNumbers(numbers: readonly number[], tail?: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 * numbers.length + (tail?.length ?? 0));
  const view = new DataView(bytes.buffer);
  numbers.forEach((number, i) => view.setUint32(4 * i, number));
  if (tail !== undefined) bytes.set(tail, 4 * numbers.length);
  return bytes;
}

/**
 * Reads a 4-byte number; missing bytes at the end count as zeros.
 *
 * @param bytes the buffer.
 * @param at its offset.
 * @returns the unsigned number.
 */
export function u32At(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 24 | (bytes[at + 1] ?? 0) << 16 | (bytes[at + 2] ?? 0) << 8 |
    (bytes[at + 3] ?? 0)) >>> 0;
}
