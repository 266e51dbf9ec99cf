// The executable's primitives. Its runtime has everything natively except CAST5 and bzip2, so no other implementation has to
// be loaded or trusted.
import { bzip2 } from "../compression/bzip2.ts";
import { chooseCompression } from "../compression/choice.ts";
import { nativeCompression } from "../compression/native.ts";
import type { Primitives } from "../credential/primitives.ts";
import { blockCiphers } from "../crypto/block_ciphers.ts";
import { chooseCryptography } from "../crypto/choice.ts";
import { native } from "../crypto/native.ts";

/** The primitives of munged and its tools. */
export const primitives: Primitives = {
  ...chooseCryptography(native, blockCiphers),
  ...chooseCompression(nativeCompression, { bzlib: bzip2 }),
};

export { dropBzip2Memory as dropPrimitivesMemory } from "../compression/bzip2.ts";
export { loadNative as loadPrimitives } from "../crypto/native.ts";
