// The slots of a cluster: which one a name is in. Pure. The rules are those of the cluster specification: CRC-16/XMODEM of
// the name, or of the part of it in braces, modulo the number of slots.

/** Number of slots. */
export const SLOTS = 16_384;

/** The first and the last slot of a range. */
export type SlotRange = readonly [first: number, last: number];

/** All slots, which are in one place unless the store is a cluster. */
export const ALL_SLOTS: readonly SlotRange[] = [[0, SLOTS - 1]];

const POLYNOMIAL = 0x1021;

const TABLE: Uint16Array = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? crc << 1 ^ POLYNOMIAL : crc << 1;
  return crc;
});

/** The slot of a name, in ASCII and without braces. */
export function slotOf(name: string): number {
  let crc = 0;
  for (let i = 0; i < name.length; i++) {
    crc = (crc << 8 & 0xffff) ^ TABLE[(crc >> 8 ^ name.charCodeAt(i)) & 0xff]!;
  }
  return crc % SLOTS;
}

/** A hash tag, in braces, that puts any name into one of the ranges. */
export function tagIn(ranges: readonly SlotRange[]): string {
  for (let i = 0;; i++) {
    const slot = slotOf(`${i}`);
    if (ranges.some(([first, last]) => first <= slot && slot <= last)) return `{${i}}`;
  }
}
