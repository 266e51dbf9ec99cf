// How a replay table grows: by whole segments, each as large as the bytes allowed per entry permit. table.ts has their
// contents.

/** Length of the header; segments are multiples of it. */
export const PAGE = 4096;
export const SLOT_WORDS = 4;
const SLOT_BYTES = SLOT_WORDS * Int32Array.BYTES_PER_ELEMENT;
const SLOTS_PER_PAGE = PAGE / SLOT_BYTES;
const FIRST_SEGMENT_SLOTS = 1024;
/**
 * Share of used slots in the last segment at which another one is added. A higher share makes searches longer; a lower one
 * means more segments to search.
 */
export const GROW_AT = 0.75;
/** Share of used slots at which a segment is full. */
export const FULL_AT = 0.95;
/** Maximum bytes per entry, including the header, from 768 entries; segments are as large as this allows. */
const MAX_BYTES_PER_ENTRY = 32;
export const MAX_SEGMENTS = 40;

/** Part of a table. */
export interface Segment {
  readonly slots: number;
  /** Its start and end, in bytes. */
  readonly offset: number;
  readonly end: number;
}

export const SEGMENTS: readonly Segment[] = (() => {
  const segments: Segment[] = [];
  let total = 0;
  for (let i = 0; i < MAX_SEGMENTS; i++) {
    const allowed = (total * GROW_AT * MAX_BYTES_PER_ENTRY - PAGE) / SLOT_BYTES;
    const slots = i === 0
      ? FIRST_SEGMENT_SLOTS
      : Math.floor((allowed - total) / SLOTS_PER_PAGE) * SLOTS_PER_PAGE;
    const offset = PAGE + total * SLOT_BYTES;
    total += slots;
    segments.push({ slots, offset, end: PAGE + total * SLOT_BYTES });
  }
  return segments;
})();
