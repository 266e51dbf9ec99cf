// The credential format: round trips of every valid combination, tampering, and the order of checks.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CIPHERS } from "../../../lib/credential/cipher.ts";
import { armor, unarmor } from "../../../lib/credential/armor.ts";
import {
  type CredentialFields,
  MAX_PAYLOAD_LENGTH,
  type Randomness,
} from "../../../lib/credential/fields.ts";
import { openBytes } from "../../../lib/credential/open.ts";
import { sealBytes } from "../../../lib/credential/seal.ts";
import { primitives } from "../../../lib/primitives/library.ts";
import { MungeError, type MungeErrorCode } from "../../../lib/errors.ts";
import { deriveSubkeys } from "../../../lib/credential/subkeys.ts";
import { type Mac, MACS } from "../../../lib/credential/mac.ts";
import { ANY_ID } from "../../../lib/protocol/message.ts";
import { ZIPS } from "../../../lib/credential/zip.ts";

const subkeys = deriveSubkeys(new Uint8Array(32).fill(0x6b), primitives);
const otherSubkeys = deriveSubkeys(new Uint8Array(32).fill(0x6c), primitives);
const random: Randomness = {
  salt: Uint8Array.from({ length: 8 }, (_, i) => i + 1),
  iv: Uint8Array.from({ length: 16 }, (_, i) => 0x10 + i),
};
const plain: CredentialFields = {
  cipher: 4,
  mac: 5,
  zip: 0,
  realm: "",
  originAddress: new Uint8Array([192, 0, 2, 1]),
  encodeTime: 1_700_000_000,
  ttl: 300,
  uid: 1000,
  gid: 100,
  uidRestriction: ANY_ID,
  gidRestriction: ANY_ID,
  payload: new TextEncoder().encode("a payload"),
};

function seal(fields: Partial<CredentialFields> = {}): string {
  return armor(sealBytes({ ...plain, ...fields }, subkeys, random, primitives));
}

function open(text: string) {
  return openBytes(unarmor(text), [subkeys], primitives);
}

function assertRefused(code: MungeErrorCode, message: string | RegExp, run: () => unknown) {
  assert.throws(run, (error) => {
    assert.ok(error instanceof MungeError, String(error));
    assert.equal(error.code, code);
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    return true;
  });
}

const ciphers = CIPHERS.filter(({ name }) => name !== "default");
const macs = MACS.filter(({ name }) => name !== "default" && name !== "none");
const zips = ZIPS.filter(({ name }) => name !== "default");

for (const cipher of ciphers) {
  for (const mac of macs) {
    const valid = mac.length >= cipher.keyLength;
    test(`sealBytes() ${valid ? "takes" : "refuses"} ${cipher.name} with ${mac.name}`, () => {
      for (const zip of zips) {
        for (const length of [0, 1, 15, 16, 17, 4096, 70_000]) {
          const payload = new Uint8Array(length).fill(0x41);
          const fields = { cipher: cipher.number, mac: mac.number, zip: zip.number, payload };
          if (!valid) {
            const text = `Invalid MAC type ${mac.number} with cipher type ${cipher.number}`;
            assertRefused("EMUNGE_BAD_MAC", text, () => seal(fields));
            continue;
          }
          const opened = open(seal(fields));
          const { replayKey, ringIndex, zip: zipUsed, ...rest } = opened;
          const { zip: _, ...expected } = { ...plain, ...fields };
          assert.deepEqual({ ...rest, payload: Uint8Array.from(rest.payload) }, {
            ...expected,
            originAddress: rest.originAddress,
          });
          assert.deepEqual([...rest.originAddress], [192, 0, 2, 1]);
          assert.equal(zipUsed, length >= 4096 ? zip.number : zipUsed === 0 ? 0 : zip.number);
          assert.equal(replayKey.length, 16);
          assert.equal(ringIndex, 0);
        }
      }
    });
  }
}

test("sealBytes() drops a compression that does not help", () => {
  assert.equal(open(seal({ zip: 3 })).zip, 0);
  assert.equal(open(seal({ zip: 2, payload: new Uint8Array(0) })).zip, 0);
});

test("sealBytes() refuses types that no credential carries, and payloads too long", () => {
  assertRefused("EMUNGE_BAD_CIPHER", "Invalid cipher type 1", () => seal({ cipher: 1 }));
  assertRefused("EMUNGE_BAD_CIPHER", "Invalid cipher type 6", () => seal({ cipher: 6 }));
  assertRefused("EMUNGE_BAD_MAC", "Invalid MAC type 0", () => seal({ mac: 0 }));
  assertRefused("EMUNGE_BAD_MAC", "Invalid MAC type 1", () => seal({ mac: 1 }));
  assertRefused("EMUNGE_BAD_ZIP", "Invalid compression type 1", () => seal({ zip: 1 }));
  assertRefused("EMUNGE_BAD_ZIP", "Invalid compression type 4", () => seal({ zip: 4 }));
  const payload = new Uint8Array(MAX_PAYLOAD_LENGTH + 1);
  assertRefused("EMUNGE_BAD_LENGTH", "Exceeded maximum message length", () => seal({ payload }));
});

test("sealBytes() carries a realm in the open, bound by the MAC", () => {
  const credential = seal({ realm: "gpu" });
  assert.equal(open(credential).realm, "gpu");
  const renamed = mutate(credential, (bytes) => bytes.set(new TextEncoder().encode("cpu"), 5));
  assertRefused("EMUNGE_CRED_INVALID", "Invalid credential", () => open(renamed));
});

test("openBytes() tries each key on the original bytes, though long credentials are decrypted in place", () => {
  const payload = new Uint8Array(200_000).fill(7);
  const opened = openBytes(unarmor(seal({ payload })), [otherSubkeys, subkeys], primitives);
  assert.deepEqual(opened.payload, payload);
});

test("openBytes() tries each key of the ring, and no other", () => {
  const credential = seal();
  const opened = openBytes(unarmor(credential), [otherSubkeys, subkeys], primitives);
  assert.equal(opened.uid, 1000);
  assertRefused("EMUNGE_CRED_INVALID", "Invalid credential", () => {
    openBytes(unarmor(credential), [otherSubkeys], primitives);
  });
  assertRefused("EMUNGE_CRED_INVALID", "Invalid credential", () => {
    openBytes(unarmor(credential), [], primitives);
  });
});

/** The credential with changed bytes inside its armor. */
function mutate(credential: string, change: (bytes: Uint8Array) => Uint8Array | void): string {
  const bytes = Buffer.from(credential.slice(6, -1), "base64");
  return `MUNGE:${Buffer.from(change(bytes) ?? bytes).toString("base64")}:`;
}

test("openBytes() refuses a credential with any one bit flipped", () => {
  for (
    const fields of [{}, { cipher: 0 }, { zip: 3, payload: new Uint8Array(500) }, { cipher: 2 }]
  ) {
    const credential = seal(fields);
    const length = Buffer.from(credential.slice(6, -1), "base64").length;
    for (let i = 0; i < length * 8; i++) {
      const flipped = mutate(credential, (bytes) => {
        bytes[i >> 3]! ^= 1 << (i & 7);
      });
      assert.throws(() => open(flipped), MungeError, `bit ${i}`);
    }
  }
});

test("openBytes() refuses a credential cut anywhere, with the field that is missing", () => {
  const credential = seal({ realm: "gpu" });
  const fields: readonly [number, string][] = [
    [1, "Truncated credential version"],
    [2, "Truncated cipher type"],
    [3, "Truncated MAC type"],
    [4, "Truncated compression type"],
    [5, "Truncated security realm length"],
    [9, "Truncated security realm string"],
    [25, "Truncated cipher IV"],
    [57, "Truncated MAC"],
  ];
  const length = Buffer.from(credential.slice(6, -1), "base64").length;
  for (let cut = 0; cut < length; cut++) {
    const text = fields.find(([end]) => cut < end)?.[1];
    const shorter = mutate(credential, (bytes) => bytes.subarray(0, cut));
    if (text === undefined) {
      assertRefused("EMUNGE_CRED_INVALID", "Invalid credential", () => open(shorter));
    } else {
      assertRefused("EMUNGE_BAD_CRED", text, () => open(shorter));
    }
  }
});

test("openBytes() answers bad padding and a bad MAC alike", () => {
  const credential = seal({ payload: new Uint8Array(64) });
  // Flipping a bit in the last block but one breaks the padding; in the first block, only the MAC.
  const badPadding = mutate(credential, (bytes) => {
    bytes[bytes.length - 17]! ^= 0x40;
  });
  const badMac = mutate(credential, (bytes) => {
    bytes[21 + 32]! ^= 0x40;
  });
  for (const spoilt of [badPadding, badMac]) {
    assertRefused("EMUNGE_CRED_INVALID", "Invalid credential", () => open(spoilt));
  }
});

test("openBytes() authenticates the same amount of data for every padding, good or bad", () => {
  for (const mac of macs) {
    for (let length = 0; length < 200; length++) {
      const bytes = unarmor(seal({ mac: mac.number, payload: new Uint8Array(length) }));
      const works = [0, 1, 2, 7, 8, 15, 16, 17, 255].map((padding) => {
        let blocks = 0;
        const counting = {
          ...primitives,
          hmac(mac: Mac, key: Uint8Array, data: Uint8Array) {
            // A digest works through whole blocks: the data, a bit, and the data's length.
            const { digestBlockLength } = mac;
            if (key === subkeys.mac) {
              blocks += Math.ceil((data.length + 1 + digestBlockLength / 8) / digestBlockLength);
            }
            return primitives.hmac(mac, key, data);
          },
          decryptBlocks: (_: unknown, __: unknown, ___: unknown, data: Uint8Array) =>
            new Uint8Array(data.length).fill(padding),
        };
        assertRefused("EMUNGE_CRED_INVALID", "Invalid credential", () => {
          openBytes(bytes, [subkeys], counting);
        });
        return blocks;
      });
      assert.equal(new Set(works).size, 1, `${mac.name}, ${length}: ${works}`);
    }
  }
});

test("openBytes() takes the armor off as the reference does", () => {
  const credential = seal();
  for (
    const wrapped of [
      ` \t\r\n\v\f${credential}\n`,
      `${credential}trailing`,
      `${credential.slice(0, 20)}\n \t\r\v\f${credential.slice(20)}`,
    ]
  ) assert.equal(open(wrapped).uid, 1000);
  const refused: readonly [string, MungeErrorCode, string][] = [
    ["", "EMUNGE_BAD_ARG", "No credential specified"],
    [" \n", "EMUNGE_BAD_ARG", "No credential specified"],
    ["MUNGE", "EMUNGE_BAD_CRED", "Failed to match armor prefix"],
    ["munge:AAAA:", "EMUNGE_BAD_CRED", "Failed to match armor prefix"],
    ["MUNGE:", "EMUNGE_BAD_CRED", "Failed to match armor suffix"],
    [credential.slice(0, -1), "EMUNGE_BAD_CRED", "Failed to match armor suffix"],
    ["MUNGE:AA*A:", "EMUNGE_BAD_CRED", "Failed to base64-decode credential"],
    ["MUNGE:A:", "EMUNGE_BAD_CRED", "Failed to base64-decode credential"],
    [`${credential}:`, "EMUNGE_BAD_CRED", "Failed to base64-decode credential"],
    ["MUNGE::", "EMUNGE_BAD_CRED", "Truncated credential version"],
  ];
  for (const [text, code, message] of refused) assertRefused(code, message, () => open(text));
});

test("openBytes() decompresses nothing before the MAC was checked", () => {
  const compressed = seal({ cipher: 0, zip: 2, payload: new Uint8Array(4096) });
  const credential = mutate(compressed, (bytes) => {
    bytes[5 + 32]! ^= 1; // after OUTER and the MAC: the magic number, without which nothing is decompressed
  });
  assertRefused("EMUNGE_CRED_INVALID", "Invalid credential", () => open(credential));
});
