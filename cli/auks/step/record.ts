// A job's file, kept by the plugin: the name of the cache that its steps share, if there is one.
import { fstatSync, ftruncateSync, readSync, writeSync } from "node:fs";

/** The maximum length of KRB5CCNAME: a path with its type. */
const MAX_LENGTH = 8192;

/** The name in an open file; "" for none. */
export function readRecord(fd: number): string {
  const { size } = fstatSync(fd);
  const bytes = new Uint8Array(Math.min(size, MAX_LENGTH));
  const count = readSync(fd, bytes, 0, bytes.length, 0);
  const text = new TextDecoder().decode(bytes.subarray(0, count));
  // Without a newline, it was not written completely.
  return text.endsWith("\n") ? text.slice(0, -1) : "";
}

/** Writes the name into an open file. */
export function writeRecord(fd: number, name: string): void {
  const bytes = new TextEncoder().encode(`${name}\n`);
  ftruncateSync(fd, 0);
  writeSync(fd, bytes, 0, bytes.length, 0);
}
