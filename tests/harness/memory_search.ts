// Searches the whole memory of a process for secrets.
import { closeSync, openSync, readFileSync, readSync } from "node:fs";

const PAGE = 4096;
/** Bits 63 and 62 of a pagemap entry: the page is in memory, or in swap. */
const PRESENT = 3n << 62n;

/** Runs of resident pages of a process, as addresses. */
function* residentRuns(pid: number): Generator<[start: number, length: number]> {
  const map = openSync(`/proc/${pid}/pagemap`, "r");
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, "latin1").split("\n")) {
      const range = /^([0-9a-f]+)-([0-9a-f]+) r/.exec(line);
      if (range === null || line.includes("[v")) continue;
      const [first, end] = [parseInt(range[1]!, 16) / PAGE, parseInt(range[2]!, 16) / PAGE];
      const entries = new BigUint64Array(1 << 16);
      for (let page = first; page < end; page += entries.length) {
        const count =
          readSync(map, entries, 0, Math.min(entries.length, end - page) * 8, page * 8) / 8;
        for (let i = 0; i < count; i++) {
          let run = 0;
          while (i + run < count && (entries[i + run]! & PRESENT) !== 0n) run++;
          if (run > 0) yield [(page + i) * PAGE, run * PAGE];
          i += run;
        }
      }
    }
  } finally {
    closeSync(map);
  }
}

/** The addresses of each secret in the memory of a process, as root only. */
export function findInMemory(pid: number, secrets: readonly Uint8Array[]): number[][] {
  const found: number[][] = secrets.map(() => []);
  const memory = openSync(`/proc/${pid}/mem`, "r");
  try {
    for (const [start, length] of residentRuns(pid)) {
      const bytes = Buffer.alloc(length);
      try {
        readSync(memory, bytes, 0, length, start);
      } catch {
        continue; // unmapped meanwhile
      }
      secrets.forEach((secret, which) => {
        for (let at = bytes.indexOf(secret); at >= 0; at = bytes.indexOf(secret, at + 1)) {
          found[which]!.push(start + at);
        }
      });
    }
  } finally {
    closeSync(memory);
  }
  return found;
}
