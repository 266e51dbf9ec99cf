// Chooses among suppliers of compression, limits their output, and turns their errors into MungeErrors. lib/primitives lists
// the suppliers.
import type { Compression } from "../credential/primitives.ts";
import type { Zip, ZipName } from "../credential/zip.ts";
import { MungeError } from "../errors.ts";

/** Compresses to a stream, which may be longer than the data. */
export type Compressor = (data: Uint8Array) => Uint8Array;
/** Decompresses to at most about `bound` bytes; throws for a stream that is damaged, truncated or too long. */
export type Decompressor = (stream: Uint8Array, bound: number) => Uint8Array;

/** One or both directions of one compression. */
export interface Codec {
  readonly compress?: Compressor | undefined;
  readonly decompress?: Decompressor | undefined;
}

/** A supplier of compression, possibly of only some kinds or directions. */
export type CompressionSupplier = { readonly [name in ZipName]?: Codec };

/** Makes a {@linkcode Compression} that takes each direction from the first supplier that has it. */
export function chooseCompression(...suppliers: readonly CompressionSupplier[]): Compression {
  const chosen = <Direction extends keyof Codec>(zip: Zip, direction: Direction) => {
    const codec = suppliers.find((supplier) => supplier[zip.name]?.[direction] !== undefined);
    if (codec === undefined) throw new MungeError("EMUNGE_BAD_ZIP");
    return codec[zip.name]![direction]!;
  };
  return {
    compress: (zip, data) => chosen(zip, "compress")(data),
    decompress(zip, stream, bound) {
      const decompress = chosen(zip, "decompress");
      let data: Uint8Array;
      try {
        data = decompress(stream, bound);
      } catch (cause) {
        if (cause instanceof MungeError) throw cause;
        throw new MungeError("EMUNGE_CRED_INVALID", undefined, { cause });
      }
      if (data.length > bound) throw new MungeError("EMUNGE_CRED_INVALID");
      return new Uint8Array(data.buffer, data.byteOffset, data.length);
    },
  };
}
