// The pages of the executable's own file in memory. Starting touches most of the runtime's code once; serving needs
// little of it.
import { readFileSync } from "node:fs";
import { FFIType, openLibc, type Pointer } from "./libc.ts";

const MADV_DONTNEED = 4;

/**
 * Gives back the pages of this program's code and constants, which come back from the file's pages in the system's
 * cache when they are needed. Does nothing where /proc doesn't tell where they are.
 */
export function releaseProgramPages(): void {
  if (process.platform !== "linux") return;
  const { madvise } = openLibc({
    madvise: { args: [FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
  });
  for (const { start, length } of readOnlySegments()) {
    madvise(start as Pointer, length, MADV_DONTNEED); // locked pages stay: --mlockall asks for that
  }
}

/**
 * The mapped pieces of our own file that equal what is in it: code, and the constants at its beginning. Others that
 * can't be written to could be before: the engine protects its settings once they are made.
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
