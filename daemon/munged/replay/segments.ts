// How a replay table grows: by whole segments, each as large as the bytes allowed to an entry permit. What is
// in them is table.ts's.

/** The header's length, and what segments are multiples of. */
export const PAGE = 4096;
export const SLOT_WORDS = 4;
const SLOT_BYTES = SLOT_WORDS * Int32Array.BYTES_PER_ELEMENT;
const SLOTS_PER_PAGE = PAGE / SLOT_BYTES;
const FIRST_SEGMENT_SLOTS = 1024;
/**
 * Share of the last segment's slots in use at which another one is added. With more, searches run longer; with
 * less, there are more segments to search.
 */
export const GROW_AT = 0.75;
/** Share of a segment's slots in use at which it takes no more. */
export const FULL_AT = 0.95;
/** What a table takes, its header included, from 768 entries on: each segment is as large as this allows. */
const MOST_BYTES_PER_ENTRY = 32;
export const MAX_SEGMENTS = 40;

/** A piece of a table. */
export interface Segment {
  readonly slots: number;
  /** Where it begins and ends, in bytes. */
  readonly offset: number;
  readonly end: number;
}

export const SEGMENTS: readonly Segment[] = (() => {
  const segments: Segment[] = [];
  let total = 0;
  for (let i = 0; i < MAX_SEGMENTS; i++) {
    const allowed = (total * GROW_AT * MOST_BYTES_PER_ENTRY - PAGE) / SLOT_BYTES;
    const slots = i === 0
      ? FIRST_SEGMENT_SLOTS
      : Math.floor((allowed - total) / SLOTS_PER_PAGE) * SLOTS_PER_PAGE;
    const offset = PAGE + total * SLOT_BYTES;
    total += slots;
    segments.push({ slots, offset, end: PAGE + total * SLOT_BYTES });
  }
  return segments;
})();
