// zlib from the runtime: Bun's libdeflate, if there is one, and node:zlib.
import { createRequire } from "node:module";
import type * as NodeZlib from "node:zlib";
import type { CompressionSupplier } from "./choice.ts";
import { zlibFormat } from "./zlib_format.ts";

/** The part of Bun used here: libdeflate, which takes half as long as zlib for large data. */
interface BunDeflate {
  deflateSync(data: Uint8Array, options: { level: number; library: "libdeflate" }): Uint8Array;
  readonly hash: { adler32(data: Uint8Array): number };
}

const BunDeflate = (globalThis as { Bun?: BunDeflate }).Bun;

let loadedZlib: typeof NodeZlib | undefined;

/** node:zlib, loaded on first use because that takes 3 ms in each of munged's threads. */
function nodeZlib(): typeof NodeZlib {
  return loadedZlib ??= createRequire(import.meta.url)("node:zlib") as typeof NodeZlib;
}

/** Compresses to the zlib format at zlib's default level, which is 6. */
function deflate(data: Uint8Array): Uint8Array {
  if (BunDeflate === undefined) return nodeZlib().deflateSync(data);
  // Bun offers libdeflate for bare deflate only, so the header and the checksum are added here.
  const stream = BunDeflate.deflateSync(data, { level: 6, library: "libdeflate" });
  return zlibFormat(stream, BunDeflate.hash.adler32(data));
}

/** The internals of node:zlib's inflateSync(). */
interface InflateStream {
  destroy(): unknown;
  _processChunk(chunk: Uint8Array, flush: number): Uint8Array;
  readonly _handle: { close(): void } | null;
}

/**
 * Inflates the zlib format. It does not use inflateSync(), which after a bad stream queues events that hold the output so
 * far: a thread that never returns to its event loop would run out of memory.
 */
function inflate(stream: Uint8Array, bound: number): Uint8Array {
  const zlib = nodeZlib();
  const inflater = zlib.createInflate({
    maxOutputLength: Math.max(bound, 1), // zlib does not accept 0 here; chooseCompression() checks it
    chunkSize: Math.max(bound + 1, 64), // everything in one chunk; zlib accepts no less than 64
  }) as unknown as InflateStream;
  inflater.destroy = () => inflater;
  try {
    return inflater._processChunk(stream, zlib.constants.Z_FINISH);
  } finally {
    inflater._handle?.close();
  }
}

/** The runtime's native compression; without inflating in Node.js and Deno, where it can't be kept from filling memory. */
export const nativeCompression: CompressionSupplier = {
  zlib: { compress: deflate, decompress: BunDeflate === undefined ? undefined : inflate },
};
