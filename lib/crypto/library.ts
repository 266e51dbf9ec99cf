// The cryptography of the library: native where the runtime has it, else portable.
import { chooseCrypto, type Crypto } from "./choice.ts";
import { native } from "./native.ts";
import { portable } from "./portable.ts";

/** The cryptography of this process: native where the runtime has it, else portable. */
export const crypto: Crypto = chooseCrypto(native, portable);
