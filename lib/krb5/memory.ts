// Memory that libkrb5 reads and writes: cells for results, buffers for arguments, and copies of the library's own data.
// All calls are synchronous, so each thread needs only one of each.
import { secretBytes } from "../bytes/secret.ts";
import { CString, fixedMemory, type Pointer, ptr, read, toArrayBuffer } from "../os/libc.ts";
import { libkrb5 } from "./library.ts";

/** The address of a libkrb5 object. */
export type Address = Pointer;

/** Keeps memory alive that libkrb5 knows the address of, even if our code no longer refers to it. */
const kept: Uint8Array[] = [];

/** Memory that lives as long as this thread. */
export function threadMemory(
  length: number,
): { readonly bytes: Uint8Array; readonly at: Address } {
  const bytes = new Uint8Array(fixedMemory(length));
  kept.push(bytes);
  return { bytes, at: ptr(bytes) };
}

const cells = threadMemory(16);
/** Cell for the address or number that a call returns. */
export const resultCell: Address = cells.at;
/** The same for the second result of a call, or for values used by several calls, such as a cursor. */
export const secondCell: Address = (resultCell + 8) as Address;

/** Empties both cells, so that a call that writes nothing leaves 0. */
export function clearCells(): void {
  cells.bytes.fill(0);
}

/** The address that the last call returned; 0 only for calls that may return nothing. */
export function resultAddress(): Address {
  return read.ptr(resultCell, 0) as Address;
}

/** The second address that the last call returned. */
export function secondAddress(): Address {
  return read.ptr(secondCell, 0) as Address;
}

/** Larger arguments, such as a DUMP of thousands of tickets, are passed where they are. */
const COPIED_MAX = 2 ** 20;

/** A growing buffer whose contents are wiped after use. */
class Scratch {
  #memory = new Uint8Array(fixedMemory(4096));
  #address = ptr(this.#memory);

  put(bytes: Uint8Array, terminated = false): Address {
    const length = bytes.length + (terminated ? 1 : 0);
    if (length > this.#memory.length) {
      this.#memory.fill(0);
      this.#memory = new Uint8Array(fixedMemory(length * 2));
      this.#address = ptr(this.#memory);
    }
    this.#memory.set(bytes);
    if (terminated) this.#memory[bytes.length] = 0;
    return this.#address;
  }

  wipe(length: number): void {
    this.#memory.fill(0, 0, length);
  }
}

const texts = [new Scratch(), new Scratch()] as const;

/**
 * The address of a C string, valid for one call.
 *
 * @param slot a different one for each string of that call.
 * @throws {Error} if the text contains a NUL.
 */
export function cText(text: string, slot: 0 | 1 = 0): Address {
  if (text.includes("\0")) throw new Error("Kerberos names can't contain a NUL character");
  return texts[slot].put(new TextEncoder().encode(text), true);
}

/** The text at an address in libkrb5's memory. */
export function textAt(address: Address): string {
  return new CString(address).toString();
}

/** Keeps a byte order mark as part of a name: two names that differ must not become equal. */
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Decodes a name. Refuses bytes that are not UTF-8, because replacing them could make different names equal.
 *
 * @throws {TypeError}
 */
export function decodeName(bytes: Uint8Array): string {
  return strictUtf8.decode(bytes);
}

/** The name at an address in libkrb5's memory. @throws {TypeError} as {@linkcode decodeName}. */
export function nameAt(address: Address): string {
  const bytes: number[] = [];
  for (let byte; (byte = read.u8(address, bytes.length)) !== 0;) bytes.push(byte);
  return decodeName(Uint8Array.from(bytes));
}

// krb5_data: magic i32, length u32, data (pointer).
const DATA_LENGTH = 4;
const DATA_BYTES = 8;

const inputData = threadMemory(16);
const input = new DataView(inputData.bytes.buffer);
const inputBytes = new Scratch();

/** Calls with the address of a krb5_data that holds `bytes`. It is a copy, wiped afterwards, unless they are large. */
export function withData<T>(bytes: Uint8Array, call: (data: Address) => T): T {
  // The engine never moves the contents of an array of this size, and `bytes` is used again below.
  const isCopied = bytes.length <= COPIED_MAX;
  const at = isCopied ? inputBytes.put(bytes) : ptr(bytes);
  input.setUint32(DATA_LENGTH, bytes.length, true);
  input.setBigUint64(DATA_BYTES, BigInt(at), true);
  try {
    return call(inputData.at);
  } finally {
    if (isCopied) inputBytes.wipe(bytes.length);
  }
}

/** The address of a krb5_data for a call to fill; {@linkcode takeOutput} then returns its contents. */
export const outputData: Address = threadMemory(16).at;

/**
 * A copy of the contents of {@linkcode outputData}; wipes and frees the original.
 *
 * @param room zeros before the contents, for a header.
 */
export function takeOutput(context: Address, room = 0): Uint8Array {
  const bytes = copyData(outputData, room);
  wipeData(outputData);
  libkrb5().krb5_free_data_contents(context, outputData);
  return bytes;
}

/** Address of the bytes of a krb5_data. */
export function dataAddress(data: Address): Address {
  return read.ptr(data, DATA_BYTES) as Address;
}

/** A copy of the bytes of a krb5_data, after as many zeros as `room` says. */
export function copyData(data: Address, room = 0): Uint8Array {
  return copyBytes(dataAddress(data), read.u32(data, DATA_LENGTH), room);
}

/** Overwrites the bytes of a krb5_data with zeros. */
export function wipeData(data: Address): void {
  wipeBytes(dataAddress(data), read.u32(data, DATA_LENGTH));
}

/** A copy of bytes in libkrb5's memory, after as many zeros as `room` says. */
export function copyBytes(address: Address, length: number, room = 0): Uint8Array {
  const copy = secretBytes(room + length);
  if (length > 0) copy.set(new Uint8Array(toArrayBuffer(address, 0, length)), room);
  return copy;
}

/** Overwrites bytes in libkrb5's memory with zeros. */
export function wipeBytes(address: Address, length: number): void {
  if (length > 0) new Uint8Array(toArrayBuffer(address, 0, length)).fill(0);
}
