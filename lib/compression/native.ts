// Compresses and decompresses INNER (docs/protocol.md, "The credential") to and from a bare zlib or bzip2 stream.
// The header before the stream belongs to the credential format, in credential.ts.
import { createRequire } from "node:module";
import type * as NodeZlib from "node:zlib";
import { type Bzip2, openBzip2 } from "./bzip2.ts";
import { MungeError } from "../errors.ts";
import type { Zip, ZipName } from "./zip.ts";

/** Both directions of one compression. `decompress` produces at most `bound` bytes. */
interface Codec {
  compress(data: Uint8Array): Uint8Array;
  decompress(stream: Uint8Array, bound: number): Uint8Array;
}

let loadedBzip2: Bzip2 | undefined;

/** libbzip2, loaded on first use. Throws EMUNGE_BAD_ZIP if that fails. */
function bzip2(): Bzip2 {
  try {
    return loadedBzip2 ??= openBzip2();
  } catch (cause) {
    throw new MungeError("EMUNGE_BAD_ZIP", "Failed to load bzip2", { cause });
  }
}

let loadedZlib: typeof NodeZlib | undefined;

/** node:zlib, loaded on first use because that takes 3 ms in each of munged's threads. */
function nodeZlib(): typeof NodeZlib {
  return loadedZlib ??= createRequire(import.meta.url)("node:zlib") as typeof NodeZlib;
}

const zlib: Codec = {
  compress: deflate,
  decompress: (stream, bound) =>
    nodeZlib().inflateSync(stream, {
      maxOutputLength: Math.max(bound, 1), // zlib does not accept 0 here; decompress() checks it
      chunkSize: Math.max(bound + 1, 64), // everything in one chunk; zlib accepts no less than 64
    }),
};

const CODECS: { readonly [name in ZipName]?: () => Codec } = { bzlib: bzip2, zlib: () => zlib };

/** The part of Bun used here: libdeflate, which takes half as long as zlib for large data. */
interface BunDeflate {
  deflateSync(data: Uint8Array, options: { level: number; library: "libdeflate" }): Uint8Array;
  readonly hash: { adler32(data: Uint8Array): number };
}

const BunDeflate = (globalThis as { Bun?: BunDeflate }).Bun;

/** Compresses to the zlib format (RFC 1950) at zlib's default level, which is 6. */
function deflate(data: Uint8Array): Uint8Array {
  if (BunDeflate === undefined) return nodeZlib().deflateSync(data);
  // Bun offers libdeflate for bare deflate only, so the header and the checksum are added here.
  const stream = BunDeflate.deflateSync(data, { level: 6, library: "libdeflate" });
  const bytes = new Uint8Array(2 + stream.length + 4);
  bytes[0] = 0x78; // deflate with a window of 32 KiB
  bytes[1] = 0x9c; // default level, and check bits
  bytes.set(stream, 2);
  new DataView(bytes.buffer).setUint32(2 + stream.length, BunDeflate.hash.adler32(data));
  return bytes;
}

function codecOf(zip: Zip): Codec {
  const codec = CODECS[zip.name];
  if (codec === undefined) throw new MungeError("EMUNGE_BAD_ZIP");
  return codec();
}

/**
 * Compresses `data`: zlib at its default level, bzlib at level 9.
 *
 * @returns the stream, which may be longer than the data.
 * @throws {MungeError} EMUNGE_BAD_ZIP for a type that does not compress, or for bzlib if it can't be loaded.
 */
export function compress(zip: Zip, data: Uint8Array): Uint8Array {
  return codecOf(zip).compress(data);
}

/**
 * The inverse of {@linkcode compress}. `bound` comes from the credential, so the caller must limit it: about that
 * many bytes are allocated, and never more are produced.
 *
 * @returns at most `bound` bytes.
 * @throws {MungeError} EMUNGE_BAD_ZIP as {@linkcode compress} does, EMUNGE_CRED_INVALID for a stream that is
 * damaged, truncated or too long.
 */
export function decompress(zip: Zip, stream: Uint8Array, bound: number): Uint8Array {
  const codec = codecOf(zip);
  let data: Uint8Array;
  try {
    data = codec.decompress(stream, bound);
  } catch (error) {
    throw new MungeError("EMUNGE_CRED_INVALID", undefined, { cause: error });
  }
  if (data.length > bound) throw new MungeError("EMUNGE_CRED_INVALID");
  return new Uint8Array(data.buffer, data.byteOffset, data.length);
}
