// The cryptography of the library: native where the runtime has it, else portable.
import { chooseCrypto, type Crypto } from "./crypto_choice.ts";
import { native } from "./crypto_native.ts";
import { portable } from "./crypto_portable.ts";

/** The cryptography of this process: native where the runtime has it, else portable. */
export const crypto: Crypto = chooseCrypto(native, portable);
