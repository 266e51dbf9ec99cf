// Compression without the runtime's help, for runtimes that lack it and to check native results: zlib from fflate, libbzip2
// in WebAssembly.
import { Inflate, zlibSync } from "fflate";
import { bzip2 } from "./bzip2.ts";
import type { CompressionSupplier } from "./choice.ts";
import { adler32, parseZlibFormat } from "./zlib_format.ts";

/** Bytes inflated at a time, to at most a thousand times as many. */
const PIECE_LENGTH = 1024;

/** fflate's own one-shot function neither checks the checksum nor stops at the end of its output. */
function inflate(bytes: Uint8Array, bound: number): Uint8Array {
  const { stream, checksum } = parseZlibFormat(bytes);
  const output = new Uint8Array(bound);
  let length = 0;
  const inflater = new Inflate((piece) => {
    if (piece.length > bound - length) throw new RangeError(`More than ${bound} bytes`);
    output.set(piece, length);
    length += piece.length;
  });
  for (let at = 0; at < stream.length; at += PIECE_LENGTH) {
    const end = at + PIECE_LENGTH;
    inflater.push(stream.subarray(at, end), end >= stream.length);
  }
  const data = output.subarray(0, length);
  if (adler32(data) !== checksum) throw new Error("Wrong checksum");
  return data;
}

/** All compression, without native code. */
export const portableCompression: CompressionSupplier = {
  zlib: { compress: (data) => zlibSync(data), decompress: inflate },
  bzlib: bzip2,
};
