// The pages of the executable's own file in memory. Starting touches most of the runtime's code once; serving needs little of
// it.
import { readFileSync } from "node:fs";
import { FFIType, openLibc, type Pointer } from "./libc.ts";

const MADV_DONTNEED = 4;

/**
 * Releases the pages of this program's code and constants, which are mapped again from the page cache when needed. Does
 * nothing if /proc does not show where they are.
 */
export function releaseProgramPages(): void {
  if (process.platform !== "linux") return;
  const { madvise } = openLibc({
    madvise: { args: [FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
  });
  for (const { start, length } of readOnlySegments()) {
    madvise(start as Pointer, length, MADV_DONTNEED); // locked pages stay, as requested by --mlockall
  }
}

/**
 * The mappings of our own file that equal its contents: code, and the constants at its beginning. Other read-only mappings
 * may have been writable before, because the engine protects its settings after initialising them.
 */
function readOnlySegments(): { start: number; length: number }[] {
  let maps: string;
  try {
    maps = readFileSync("/proc/self/maps", "latin1");
  } catch {
    return [];
  }
  const segment = /^([0-9a-f]+)-([0-9a-f]+) (?:r-xp [0-9a-f]+|r--p 00000000) \S+ (\d+) +(.*)$/gm;
  return [...maps.matchAll(segment)]
    .filter(([, , , , path]) =>
      path === process.execPath || path === `${process.execPath} (deleted)`
    )
    .map(([, start, end]) => ({
      start: parseInt(start!, 16),
      length: parseInt(end!, 16) - parseInt(start!, 16),
    }));
}
