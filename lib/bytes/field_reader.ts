// Reads the fields of a message or credential one after another. The formats define the fields.
import { readU32 } from "./integers.ts";

const NO_BYTES = new Uint8Array(0);

/** Makes the error for a field that the bytes are too short for. */
export type Truncation = (field: string) => Error;

/** Reads fields from an offset. A field that extends past the end throws, and nothing of it is read. */
export class FieldReader {
  private readonly bytes: Uint8Array;
  private readonly truncation: Truncation;
  /** Offset of the next field. */
  at: number;

  constructor(bytes: Uint8Array, start: number, truncation: Truncation) {
    this.bytes = bytes;
    this.truncation = truncation;
    this.at = start;
  }

  /** Skips a field. Returns its offset. */
  skip(length: number, field: string): number {
    const start = this.at;
    if (length > this.bytes.length - start) throw this.truncation(field);
    this.at = start + length;
    return start;
  }

  u8(field: string): number {
    return this.bytes[this.skip(1, field)]!;
  }

  u32(field: string): number {
    return readU32(this.bytes, this.skip(4, field));
  }

  /** A view of a field's bytes. */
  view(length: number, field: string): Uint8Array {
    const start = this.skip(length, field);
    return length === 0 ? NO_BYTES : this.bytes.subarray(start, this.at);
  }

  /** As {@linkcode view}, without a NUL at the end. */
  viewBeforeNul(length: number, field: string): Uint8Array {
    const start = this.skip(length, field);
    if (length === 0) return NO_BYTES;
    const end = this.bytes[this.at - 1] === 0 ? this.at - 1 : this.at;
    return this.bytes.subarray(start, end);
  }

  /** A copy of a field's bytes. */
  copy(length: number, field: string): Uint8Array {
    const start = this.skip(length, field);
    return length === 0 ? NO_BYTES : this.bytes.slice(start, this.at);
  }

  /** A text of at most 255 characters below U+0100, without a terminating NUL. */
  text(length: number, field: string): string {
    return length === 0 ? "" : String.fromCharCode(...this.viewBeforeNul(length, field));
  }
}
