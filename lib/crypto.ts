// What the credential format asks of cryptography, and the choice of who answers: the runtime's native
// code where it has it, else noble's and our own TypeScript. Both stand behind one interface.
import type { Cipher } from "./cipher.ts";
import type { Mac } from "./mac.ts";

/** The primitives of the credential format. Pure: same arguments, same bytes. */
export interface Crypto {
  /** HMAC (RFC 2104) over `data`: `mac.length` new bytes. */
  hmac(mac: Mac, key: Uint8Array, data: Uint8Array): Uint8Array;
  /** SHA-1 (for the subkeys, protocol.md section 2): 20 new bytes. */
  sha1(data: Uint8Array): Uint8Array;
  /** CBC over whole blocks, without padding: as many new bytes as `data` has. */
  encryptBlocks(cipher: Cipher, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  /** The inverse of {@linkcode encryptBlocks}. */
  decryptBlocks(cipher: Cipher, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
}
