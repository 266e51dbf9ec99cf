// Cipher block chaining (NIST SP 800-38A, section 6.2) over our own block ciphers, whose blocks are two 32-bit
// words. Padding belongs to the credential format.
import type { Cbc } from "./choice.ts";

/** A block cipher with an expanded key. A block is two words, `block[0]` first, and is changed in place. */
export interface BlockCipher {
  encryptBlock(block: Int32Array): void;
  decryptBlock(block: Int32Array): void;
  /** Overwrites the expanded key; after that the cipher can't be used. */
  wipe(): void;
}

/** CBC for a cipher whose keys `expand` expands. The caller has checked all lengths. */
export function cbcOf(expand: (key: Uint8Array) => BlockCipher): Cbc {
  return {
    encrypt: (key, iv, data) => chain(expand(key), iv, data, encryptChained),
    decrypt: (key, iv, data) => chain(expand(key), iv, data, decryptChained),
  };
}

/** One step of the chain: `block` is the input and becomes the output, `previous` the last ciphertext. */
type Step = (cipher: BlockCipher, block: Int32Array, previous: Int32Array) => void;

function encryptChained(cipher: BlockCipher, block: Int32Array, previous: Int32Array): void {
  block[0]! ^= previous[0]!;
  block[1]! ^= previous[1]!;
  cipher.encryptBlock(block);
  previous.set(block);
}

function decryptChained(cipher: BlockCipher, block: Int32Array, previous: Int32Array): void {
  const first = block[0]!;
  const second = block[1]!;
  cipher.decryptBlock(block);
  block[0]! ^= previous[0]!;
  block[1]! ^= previous[1]!;
  previous[0] = first;
  previous[1] = second;
}

function chain(cipher: BlockCipher, iv: Uint8Array, data: Uint8Array, step: Step): Uint8Array {
  const input = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const bytes = new Uint8Array(data.length);
  const output = new DataView(bytes.buffer);
  const start = new DataView(iv.buffer, iv.byteOffset, iv.byteLength);
  const previous = Int32Array.of(start.getInt32(0), start.getInt32(4));
  const block = new Int32Array(2);
  for (let offset = 0; offset < bytes.length; offset += 8) {
    block[0] = input.getInt32(offset);
    block[1] = input.getInt32(offset + 4);
    step(cipher, block, previous);
    output.setInt32(offset, block[0]!);
    output.setInt32(offset + 4, block[1]!);
  }
  cipher.wipe();
  block.fill(0);
  return bytes;
}
