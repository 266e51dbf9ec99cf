// The cryptography of the executable. Its runtime has everything natively except CAST5, so no other implementation
// has to be loaded or trusted.
import { chooseCrypto, type Crypto } from "./choice.ts";
import { blockCiphers } from "./block_ciphers.ts";
import { native } from "./native.ts";

/** The cryptography of munged and its tools. */
export const crypto: Crypto = chooseCrypto(native, blockCiphers);
