// Releases memory of the executable's own file. Startup touches most of the runtime's code once, but serving needs little of
// it.
import { FFIType, openLibc, type Pointer, toArrayBuffer } from "./libc.ts";

const MADV_DONTNEED = 4;
/** Entries of the auxiliary vector (getauxval(3)): address and number of the program's headers. */
const AT_PHDR = 3;
const AT_PHNUM = 5;
/** struct Elf64_Phdr (elf(5)): its length, and offsets of its fields. */
const HEADER = { length: 56, type: 0, flags: 4, address: 16, memory: 40 } as const;
const PT_LOAD = 1;
const PF_W = 2;
/** A multiple of every system's page size. */
const PAGE = 64 * 1024;

/**
 * Releases the pages of this program's code and constants, which are mapped again from the page cache when needed. Works
 * without /proc.
 */
export function releaseProgramPages(): void {
  if (process.platform !== "linux") return;
  const { getauxval, madvise } = openLibc({
    getauxval: { args: [FFIType.u64], returns: FFIType.ptr },
    madvise: { args: [FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
  });
  const address = getauxval(AT_PHDR);
  const number = Number(getauxval(AT_PHNUM));
  if (address === null || number === 0) return;
  const headers = new DataView(toArrayBuffer(address, 0, number * HEADER.length));
  for (let at = 0; at < headers.byteLength; at += HEADER.length) {
    // Code and the constants before it are never written to, so they equal the file. Other read-only memory may have been
    // written to earlier: the engine write-protects its settings after initializing them.
    const isWritten = (headers.getUint32(at + HEADER.flags, true) & PF_W) !== 0;
    if (headers.getUint32(at + HEADER.type, true) !== PT_LOAD || isWritten) continue;
    // The program has fixed addresses (scripts/runtime).
    const start = Number(headers.getBigUint64(at + HEADER.address, true));
    const end = start + Number(headers.getBigUint64(at + HEADER.memory, true));
    const firstPage = Math.ceil(start / PAGE) * PAGE;
    const length = Math.floor(end / PAGE) * PAGE - firstPage;
    if (length <= 0) continue;
    madvise(firstPage as Pointer, length, MADV_DONTNEED); // locked pages stay, as requested by --mlockall
  }
}
