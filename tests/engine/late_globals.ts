// Delays a worker's code: that of the first thread runs at once, that of the others once workers_test.ts says so.
import { existsSync, mkdirSync } from "node:fs";

const directory = `/tmp/munged-late-${process.pid}`;

function isFirst(): boolean {
  try {
    mkdirSync(directory);
    return true;
  } catch {
    return false; // another thread has made it
  }
}

if (!isFirst()) { while (!existsSync(`${directory}/go`)) Bun.sleepSync(5); }
