// Exchanges the names of two files atomically (renameat2(2) with RENAME_EXCHANGE).
import { cString, FFIType, openLibc } from "./libc.ts";

const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;

const { i32, u32, ptr } = FFIType;

function openRename() {
  if (process.platform !== "linux") return undefined;
  try {
    return openLibc({ renameat2: { args: [i32, ptr, i32, ptr, u32], returns: i32 } }).renameat2;
  } catch {
    return undefined; // musl has it since 1.2.6
  }
}

let renameat2: ReturnType<typeof openRename> | null = null;

/**
 * Gives each of two files the other's name, so that each name exists at every moment.
 *
 * @returns false if nothing has changed: one of them is missing, or the system or the file system does not support it.
 */
export function exchangeNames(one: string, other: string): boolean {
  if (renameat2 === null) renameat2 = openRename();
  const status = renameat2?.(
    AT_FDCWD,
    cString(one),
    AT_FDCWD,
    cString(other),
    RENAME_EXCHANGE,
  );
  return status === 0;
}
