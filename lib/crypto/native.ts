// Primitives from the runtime: Bun's CryptoHasher, if there is one, and node:crypto. A trial run of each primitive finds out
// whether the runtime really has it (OpenSSL 3 disables some by default).
import { createRequire } from "node:module";
import type * as NodeCrypto from "node:crypto";
import { LARGE_LENGTH, release } from "../bytes/memory.ts";
import type { Cipher, CipherName } from "../credential/cipher.ts";
import type { CryptographySupplier, DigestFunction, HmacFunction } from "./choice.ts";
import { type DigestInto, hmacFrom } from "./hmac.ts";
import type { Mac, MacName } from "../credential/mac.ts";

/** The part of Bun's hasher used here; Deno and Node.js have no such global. */
interface BunHasher {
  update(data: Uint8Array): BunHasher;
  digest(): Uint8Array;
}

/** One of Bun's one-shot digests. */
interface BunDigest {
  hash(message: Uint8Array, output: Uint8Array): unknown;
}

const { Bun: bun } = globalThis as {
  Bun?: {
    CryptoHasher?: new (digest: string, key?: Uint8Array) => BunHasher;
    SHA1?: BunDigest;
    SHA256?: BunDigest;
  };
};
const BunCryptoHasher = bun?.CryptoHasher;

let loadedCrypto: typeof NodeCrypto | undefined;

/** node:crypto, loaded on first use: it takes 2 ms and a megabyte in each thread, and not every thread needs it. */
function nodeCrypto(): typeof NodeCrypto {
  return loadedCrypto ??= createRequire(import.meta.url)("node:crypto") as typeof NodeCrypto;
}

/** Loads what takes time, so that a thread's first client need not wait for it. */
export function loadNative(): void {
  nodeCrypto();
}

const DIGESTS: { readonly [name in MacName]?: string } = {
  default: "sha256",
  md5: "md5",
  sha1: "sha1",
  ripemd160: "ripemd160",
  sha256: "sha256",
  sha512: "sha512",
};

/** Long data is encrypted and decrypted in place, in pieces of this length, so that it takes no additional memory. */
const PIECE_LENGTH = LARGE_LENGTH;
const SHA256_BLOCK_LENGTH = 64;

const CBCS: { readonly [name in CipherName]?: string } = {
  default: "aes-128-cbc",
  blowfish: "bf-cbc",
  cast5: "cast5-cbc",
  aes128: "aes-128-cbc",
  aes256: "aes-256-cbc",
};

/** The first of `candidates` whose trial run gives a result of `length` bytes; undefined if none does. */
function firstWorking<T>(
  length: number,
  candidates: readonly T[],
  tryOut: (candidate: T) => Uint8Array,
): T | undefined {
  return candidates.find((candidate) => {
    try {
      return tryOut(candidate).length === length;
    } catch {
      return false; // The inputs of a trial are fixed and valid, so an error means the runtime lacks the primitive.
    }
  });
}

function hmac(mac: Mac): HmacFunction | undefined {
  const digest = DIGESTS[mac.name];
  if (digest === undefined) return undefined;
  const candidates: HmacFunction[] = [
    (key, data) => nodeCrypto().createHmac(digest, key).update(data).digest(),
  ];
  if (BunCryptoHasher !== undefined) {
    candidates.unshift((key, data) => new BunCryptoHasher(digest, key).update(data).digest());
  }
  const sha256 = bun?.SHA256;
  if (digest === "sha256" && sha256 !== undefined) {
    const hash: DigestInto = (message, output) => sha256.hash(message, output);
    candidates.unshift(hmacFrom(hash, mac.length, SHA256_BLOCK_LENGTH, candidates[0]!));
  }
  return firstWorking(
    mac.length,
    candidates,
    (hmac) => hmac(new Uint8Array(20), new Uint8Array(1)),
  );
}

function sha1(): DigestFunction | undefined {
  const candidates: DigestFunction[] = [
    (data) => nodeCrypto().createHash("sha1").update(data).digest(),
  ];
  // Bun's node:crypto leaves a copy of each digest in memory, and a subkey is secret.
  const bunSha1 = bun?.SHA1;
  if (bunSha1 !== undefined) {
    candidates.unshift((data) => {
      const digest = new Uint8Array(20);
      bunSha1.hash(data, digest);
      return digest;
    });
  }
  return firstWorking(20, candidates, (sha1) => sha1(new Uint8Array(1)));
}

function cbc(cipher: Cipher) {
  const name = CBCS[cipher.name];
  if (name === undefined) return undefined;
  const { createCipheriv, createDecipheriv } = nodeCrypto();
  const using =
    (create: typeof createCipheriv | typeof createDecipheriv) =>
    (key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array => {
      const context = create(name, key, iv);
      context.setAutoPadding(false); // so that update() returns every block, and final() none
      if (data.length <= PIECE_LENGTH) return context.update(data);
      for (let at = 0; at < data.length; at += PIECE_LENGTH) {
        const piece = context.update(data.subarray(at, at + PIECE_LENGTH));
        data.set(piece, at);
        if (piece.length === PIECE_LENGTH) release(piece);
      }
      return data;
    };
  const candidate = { encrypt: using(createCipheriv), decrypt: using(createDecipheriv) };
  const key = new Uint8Array(cipher.keyLength);
  const block = new Uint8Array(cipher.blockLength);
  return firstWorking(
    cipher.blockLength,
    [candidate],
    (cbc) => cbc.decrypt(key, block, cbc.encrypt(key, block, block)),
  );
}

/** The runtime's native algorithms. */
export const native: CryptographySupplier = { hmac, sha1, cbc };
