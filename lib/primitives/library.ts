// The library's primitives: native if the runtime has them, otherwise portable.
import { chooseCompression } from "../compression/choice.ts";
import { nativeCompression } from "../compression/native.ts";
import { portableCompression } from "../compression/portable.ts";
import type { Primitives } from "../credential/primitives.ts";
import { chooseCryptography } from "../crypto/choice.ts";
import { native } from "../crypto/native.ts";
import { portable } from "../crypto/portable.ts";

/** The primitives of a program that uses the library. */
export const primitives: Primitives = {
  ...chooseCryptography(native, portable),
  ...chooseCompression(nativeCompression, portableCompression),
};
