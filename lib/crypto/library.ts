// The cryptography of the library: native if the runtime has it, otherwise portable.
import { chooseCrypto, type Crypto } from "./choice.ts";
import { native } from "./native.ts";
import { portable } from "./portable.ts";

/** The cryptography of this process: native if the runtime has it, otherwise portable. */
export const crypto: Crypto = chooseCrypto(native, portable);
