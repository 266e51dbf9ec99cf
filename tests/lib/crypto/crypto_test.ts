// The primitives against published vectors, and native against portable results for every cipher and MAC.
import assert from "node:assert/strict";
import { createCipheriv, getCiphers } from "node:crypto";
import { test } from "node:test";
import { expandBlowfishKey } from "../../../lib/crypto/blowfish.ts";
import { expandCast5Key } from "../../../lib/crypto/cast5.ts";
import { type BlockCipher, cbcOf } from "../../../lib/crypto/cbc.ts";
import { type CipherName, CIPHERS } from "../../../lib/credential/cipher.ts";
import { primitives } from "../../../lib/primitives/library.ts";
import { chooseCryptography } from "../../../lib/crypto/choice.ts";
import { native } from "../../../lib/crypto/native.ts";
import { portable } from "../../../lib/crypto/portable.ts";
import { MungeError } from "../../../lib/errors.ts";
import { type MacName, MACS } from "../../../lib/credential/mac.ts";

const inTypeScript = chooseCryptography(portable);
const BOTH = { native: primitives, portable: inTypeScript };

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));
const hex = (data: Uint8Array) => Buffer.from(data).toString("hex");
const ascii = (text: string) => new TextEncoder().encode(text);
const repeated = (byte: number, count: number) => new Uint8Array(count).fill(byte);
const macNamed = (name: MacName) => MACS.find((mac) => mac.name === name)!;
const cipherNamed = (name: CipherName) => CIPHERS.find((cipher) => cipher.name === name)!;

/** Pseudo-random bytes, the same in every run. */
function noise(length: number, seed: number): Uint8Array {
  let state = seed * 2654435761 >>> 0 || 1;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 255;
  });
}

const LARGE_KEY = "Test Using Larger Than Block-Size Key - Hash Key First";
const LARGER_KEY_AND_DATA = "This is a test using a larger than block-size key and a larger than " +
  "block-size data. The key needs to be hashed before being used by the HMAC algorithm.";
const HI = ascii("Hi There");
const WHAT = ascii("what do ya want for nothing?");

const HMAC_VECTORS: readonly [source: string, MacName, Uint8Array, Uint8Array, string][] = [
  ["RFC 2202 2.1", "md5", repeated(0x0b, 16), HI, "9294727a3638bb1c13f48ef8158bfc9d"],
  ["RFC 2202 2.2", "md5", ascii("Jefe"), WHAT, "750c783e6ab0b503eaa86e310a5db738"],
  [
    "RFC 2202 2.3",
    "md5",
    repeated(0xaa, 16),
    repeated(0xdd, 50),
    "56be34521d144c88dbb8c733f0e8b3f6",
  ],
  ["RFC 2202 2.6", "md5", repeated(0xaa, 80), ascii(LARGE_KEY), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"],
  ["RFC 2202 3.1", "sha1", repeated(0x0b, 20), HI, "b617318655057264e28bc0b6fb378c8ef146be00"],
  ["RFC 2202 3.2", "sha1", ascii("Jefe"), WHAT, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"],
  [
    "RFC 2202 3.6",
    "sha1",
    repeated(0xaa, 80),
    ascii(LARGE_KEY),
    "aa4ae5e15272d00e95705637ce8a3b55ed402112",
  ],
  ["RFC 2286 2.1", "ripemd160", repeated(0x0b, 20), HI, "24cb4bd67d20fc1a5d2ed7732dcc39377f0a5668"],
  ["RFC 2286 2.2", "ripemd160", ascii("Jefe"), WHAT, "dda6c0213a485a9e24f4742064a7f033b43c4069"],
  [
    "RFC 2286 2.6",
    "ripemd160",
    repeated(0xaa, 80),
    ascii(LARGE_KEY),
    "6466ca07ac5eac29e1bd523e5ada7605b791fd8b",
  ],
  [
    "RFC 4231 4.2",
    "sha256",
    repeated(0x0b, 20),
    HI,
    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
  ],
  [
    "RFC 4231 4.2",
    "sha512",
    repeated(0x0b, 20),
    HI,
    "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde" +
    "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
  ],
  [
    "RFC 4231 4.3",
    "sha256",
    ascii("Jefe"),
    WHAT,
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  ],
  [
    "RFC 4231 4.3",
    "sha512",
    ascii("Jefe"),
    WHAT,
    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554" +
    "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
  ],
  [
    "RFC 4231 4.8",
    "sha256",
    repeated(0xaa, 131),
    ascii(LARGER_KEY_AND_DATA),
    "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
  ],
  [
    "RFC 4231 4.8",
    "sha512",
    repeated(0xaa, 131),
    ascii(LARGER_KEY_AND_DATA),
    "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944" +
    "b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58",
  ],
];

// NIST SP 800-38A, F.2: IV, four blocks of plaintext, and the ciphertexts of F.2.1 and F.2.5.
const NIST_IV = bytes("000102030405060708090a0b0c0d0e0f");
const NIST_PLAIN = bytes(
  "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51" +
    "30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710",
);
const NIST_VECTORS: readonly [CipherName, key: string, ciphertext: string][] = [
  [
    "aes128",
    "2b7e151628aed2a6abf7158809cf4f3c",
    "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2" +
    "73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7",
  ],
  [
    "aes256",
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
    "f58c4c04d6e5f1ba779eabfb5f7bfbd6 9cfc4e967edb808d679f777bc6702c7d" +
    "39f23369a9d9bacfa530e26304231461 b2eb05e2c39be9fcda6c19078c6a9d1b",
  ],
];

// Eric Young's Blowfish test vectors (key, plaintext, ciphertext), among them keys of 4 to 24 bytes.
const BLOWFISH_VECTORS = `
  0000000000000000 0000000000000000 4ef997456198dd78
  ffffffffffffffff ffffffffffffffff 51866fd5b85ecb8a
  3000000000000000 1000000000000001 7d856f9a613063f2
  1111111111111111 1111111111111111 2466dd878b963c9d
  0123456789abcdef 1111111111111111 61f9c3802281b096
  1111111111111111 0123456789abcdef 7d0cc630afda1ec7
  fedcba9876543210 0123456789abcdef 0aceab0fc6a0a28d
  7ca110454a1a6e57 01a1d6d039776742 59c68245eb05282b
  0131d9619dc1376e 5cd54ca83def57da b1b8cc0b250f09a0
  f0e1d2c3 fedcba9876543210 be1e639408640f05
  f0e1d2c3b4a59687 fedcba9876543210 e87a244e2cc85e82
  f0e1d2c3b4a5968778695a4b3c2d1e0f fedcba9876543210 93142887ee3be15c
  f0e1d2c3b4a5968778695a4b3c2d1e0f0011223344556677 fedcba9876543210 05044b62fa52d080`;

function encryptOnce(cipher: BlockCipher, plaintext: string): string {
  const data = Buffer.from(plaintext, "hex");
  const block = Int32Array.of(data.readInt32BE(0), data.readInt32BE(4));
  cipher.encryptBlock(block);
  data.writeInt32BE(block[0]!, 0);
  data.writeInt32BE(block[1]!, 4);
  const ciphertext = data.toString("hex");
  cipher.decryptBlock(block);
  data.writeInt32BE(block[0]!, 0);
  data.writeInt32BE(block[1]!, 4);
  assert.equal(data.toString("hex"), plaintext);
  return ciphertext;
}

for (const [supplier, { hmac, sha1, encryptBlocks, decryptBlocks }] of Object.entries(BOTH)) {
  test(`hmac() gives the published MACs (${supplier})`, () => {
    for (const [source, name, key, data, expected] of HMAC_VECTORS) {
      assert.equal(hex(hmac(macNamed(name), key, data)), expected, `${source} ${name}`);
    }
  });

  test(`sha1() gives the digests of FIPS 180 (${supplier})`, () => {
    assert.equal(hex(sha1(ascii("abc"))), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert.equal(hex(sha1(new Uint8Array())), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  });

  test(`encryptBlocks() and decryptBlocks() match AES-CBC of SP 800-38A (${supplier})`, () => {
    for (const [name, key, ciphertext] of NIST_VECTORS) {
      const cipher = cipherNamed(name);
      const encrypted = encryptBlocks(cipher, bytes(key), NIST_IV, NIST_PLAIN);
      assert.equal(hex(encrypted), hex(bytes(ciphertext)));
      assert.equal(hex(decryptBlocks(cipher, bytes(key), NIST_IV, encrypted)), hex(NIST_PLAIN));
    }
  });

  test(`encryptBlocks() matches Eric Young's Blowfish-CBC vectors (${supplier})`, () => {
    const data = repeated(0, 32);
    data.set(ascii("7654321 Now is the time for "));
    const encrypted = encryptBlocks(
      cipherNamed("blowfish"),
      bytes("0123456789abcdeff0e1d2c3b4a59687"),
      bytes("fedcba9876543210"),
      data,
    );
    assert.equal(
      hex(encrypted),
      "6b77b4d63006dee605b156e27403979358deb9e7154616d959f1652bd5ff92cc",
    );
  });

  test(`encryptBlocks() refuses keys, IVs and data of wrong lengths (${supplier})`, () => {
    for (const cipher of CIPHERS) {
      if (cipher.blockLength === 0) continue;
      const key = new Uint8Array(cipher.keyLength);
      const block = new Uint8Array(cipher.blockLength);
      for (const run of [encryptBlocks, decryptBlocks]) {
        assert.throws(() => run(cipher, key.subarray(1), block, block), MungeError);
        assert.throws(() => run(cipher, key, block.subarray(1), block), MungeError);
        assert.throws(() => run(cipher, key, block, block.subarray(1)), MungeError);
        assert.equal(run(cipher, key, block, new Uint8Array()).length, 0);
      }
    }
  });

  test(`the cipher none and the MAC none are refused (${supplier})`, () => {
    const none = new Uint8Array();
    assert.throws(() => hmac(MACS[0]!, none, none), { code: "EMUNGE_BAD_MAC" });
    assert.throws(() => encryptBlocks(CIPHERS[0]!, none, none, none), {
      code: "EMUNGE_BAD_CIPHER",
    });
    assert.throws(() => decryptBlocks(CIPHERS[0]!, none, none, none), {
      code: "EMUNGE_BAD_CIPHER",
    });
  });
}

test("expandBlowfishKey() gives Eric Young's vectors", () => {
  for (const line of BLOWFISH_VECTORS.trim().split("\n")) {
    const [key, plaintext, ciphertext] = line.trim().split(" ");
    assert.equal(encryptOnce(expandBlowfishKey(bytes(key!)), plaintext!), ciphertext);
  }
});

test("expandCast5Key() gives the single vector of RFC 2144 B.1", () => {
  const cipher = expandCast5Key(bytes("0123456712345678234567893456789a"));
  assert.equal(encryptOnce(cipher, "0123456789abcdef"), "238b4fe5847e44b2");
});

test(
  "expandCast5Key() passes the full maintenance test of RFC 2144 B.2",
  { timeout: 900_000 },
  () => {
    const a = bytes("0123456712345678234567893456789a");
    const b = bytes("0123456712345678234567893456789a");
    const encryptHalves = (target: Uint8Array, key: Uint8Array) => {
      const cipher = expandCast5Key(key);
      const words = new DataView(target.buffer);
      const block = new Int32Array(2);
      for (const half of [0, 8]) {
        block[0] = words.getInt32(half);
        block[1] = words.getInt32(half + 4);
        cipher.encryptBlock(block);
        words.setInt32(half, block[0]!);
        words.setInt32(half + 4, block[1]!);
      }
    };
    for (let round = 0; round < 1_000_000; round++) {
      encryptHalves(a, b);
      encryptHalves(b, a);
    }
    assert.equal(hex(a), "eea9d0a249fd3ba6b3436fb89d6dca92");
    assert.equal(hex(b), "b2c95eb00c31ad7180ac05b8e83d696e");
  },
);

test("wipe() erases an expanded key completely", () => {
  for (const expand of [expandBlowfishKey, expandCast5Key]) {
    const first = expand(repeated(1, 16));
    const second = expand(repeated(2, 16));
    first.wipe();
    second.wipe();
    assert.equal(encryptOnce(first, "0123456789abcdef"), encryptOnce(second, "0123456789abcdef"));
  }
});

test("cbcOf() wipes the expanded key after each use", () => {
  let wiped = 0;
  const cbc = cbcOf(() => ({ encryptBlock() {}, decryptBlock() {}, wipe: () => void wiped++ }));
  const block = new Uint8Array(8);
  cbc.encrypt(block, block, block);
  cbc.decrypt(block, block, block);
  assert.equal(wiped, 2);
});

test("native and portable give the same bytes for every MAC", () => {
  for (const mac of MACS.filter((mac) => mac.length > 0)) {
    for (let length = 0; length < 300; length += length < 140 ? 1 : 13) {
      const key = noise(length % 150, length + 1);
      const data = noise(length, mac.number + length);
      const expected = inTypeScript.hmac(mac, key, data);
      const actual = primitives.hmac(mac, key, data);
      assert.ok(actual instanceof Uint8Array);
      assert.equal(actual.length, mac.length);
      assert.equal(hex(actual), hex(expected), `${mac.name} ${length}`);
    }
  }
});

test("native and portable give the same bytes for every cipher, and decrypt each other's output", () => {
  for (const cipher of CIPHERS.filter((cipher) => cipher.blockLength > 0)) {
    for (let blocks = 0; blocks < 40; blocks++) {
      const key = noise(cipher.keyLength, blocks + 7);
      const iv = noise(cipher.blockLength, blocks + 11);
      const data = noise(blocks * cipher.blockLength + 1, blocks + 13).subarray(1);
      const encrypted = primitives.encryptBlocks(cipher, key, iv, data);
      assert.ok(encrypted instanceof Uint8Array);
      assert.equal(
        hex(encrypted),
        hex(inTypeScript.encryptBlocks(cipher, key, iv, data)),
        cipher.name,
      );
      assert.equal(hex(inTypeScript.decryptBlocks(cipher, key, iv, encrypted)), hex(data));
      assert.equal(hex(primitives.decryptBlocks(cipher, key, iv, encrypted)), hex(data));
    }
  }
});

test("long data is encrypted and decrypted in place, to the same bytes", () => {
  const cipher = cipherNamed("aes128");
  const [key, iv] = [noise(16, 7), noise(16, 11)];
  for (const length of [65_536, 65_552, 131_072, 200_000]) {
    const data = noise(length + 16, 13).subarray(16);
    const expected = new Uint8Array(createCipheriv("aes-128-cbc", key, iv).update(data));
    const memory = data.slice();
    const encrypted = primitives.encryptBlocks(cipher, key, iv, memory);
    assert.equal(encrypted === memory, length > 65_536, `${length}`);
    assert(Buffer.from(expected).equals(encrypted), `${length}`);
    assert(Buffer.from(data).equals(primitives.decryptBlocks(cipher, key, iv, encrypted)));
  }
});

test("the native supplier has AES and SHA-2 in every runtime, and everything OpenSSL lists", () => {
  for (const name of ["default", "aes128", "aes256"] as const) {
    assert.ok(native.cbc(cipherNamed(name)), name);
  }
  for (const name of ["default", "sha1", "sha256", "sha512"] as const) {
    assert.ok(native.hmac(macNamed(name)), name);
  }
  if (!getCiphers().includes("cast5-cbc")) {
    assert.equal(native.cbc(cipherNamed("cast5")), undefined);
  }
});
