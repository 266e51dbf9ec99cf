// What requests and replies share: their types, and numbers of 4 bytes, big-endian.

/** The number of each message. */
export const MESSAGE_TYPE = {
  ping: 0,
  list: 1,
  add: 2,
  get: 3,
  remove: 4,
  close: 5,
  dump: 6,
  /** In the files of `auks --send` only. */
  credDump: 7,
  pingReply: 20,
  errorReply: 21,
  addReply: 23,
  getReply: 24,
  removeReply: 25,
  dumpReply: 26,
} as const;

/**
 * Writes 4-byte numbers, and bytes behind them.
 *
 * @param numbers the numbers.
 * @param tail the bytes.
 * @returns a buffer of its own.
 */
export function formatNumbers(numbers: readonly number[], tail?: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 * numbers.length + (tail?.length ?? 0));
  const view = new DataView(bytes.buffer);
  numbers.forEach((number, i) => view.setUint32(4 * i, number));
  if (tail !== undefined) bytes.set(tail, 4 * numbers.length);
  return bytes;
}

/**
 * Reads a 4-byte number, of which bytes that are missing at the end count as zeros.
 *
 * @param bytes where it is.
 * @param at where it begins.
 * @returns the number, without a sign.
 */
export function u32At(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 24 | (bytes[at + 1] ?? 0) << 16 | (bytes[at + 2] ?? 0) << 8 |
    (bytes[at + 3] ?? 0)) >>> 0;
}
