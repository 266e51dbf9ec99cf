// Regenerates the golden vectors, for a reviewer who wants to see where they come from:
//   bun tests/vectors/write_vectors.ts
// That must not change the file, except for the bytes of zlib, which differ between implementations. The vectors are
// trustworthy because the reference opens each of them (tests/interop/vectors_test.ts).
import { writeFileSync } from "node:fs";
import { CIPHERS } from "../../lib/credential/cipher.ts";
import { armor } from "../../lib/credential/armor.ts";
import { sealBytes } from "../../lib/credential/seal.ts";
import { primitives } from "../../lib/primitives/library.ts";
import { deriveSubkeys } from "../../lib/credential/subkeys.ts";
import { MACS } from "../../lib/credential/mac.ts";
import { ANY_ID } from "../../lib/protocol/message.ts";
import { ZIPS } from "../../lib/credential/zip.ts";
import { VECTOR_FILE } from "./vectors.ts";

const KEY = Uint8Array.from({ length: 32 }, (_, i) => i);
const SALT = Uint8Array.from({ length: 8 }, (_, i) => 0xa0 + i);
const IV = Uint8Array.from({ length: 16 }, (_, i) => 0xb0 + i);
const ORIGIN = Uint8Array.from([192, 0, 2, 1]); // RFC 5737: an address for documentation
const COMMON = { encodeTime: 1_700_000_000, ttl: 300, uid: 1000, gid: 100 };

interface Choice {
  cipher?: string;
  mac?: string;
  zip?: string;
  realm?: string;
  uidRestriction?: number;
  gidRestriction?: number;
  payload?: string;
}

/** The credential dissected in docs/protocol.md comes first. */
const choices: Choice[] = [
  { payload: "hello" },
  { payload: "for 1000 and 100 only", uidRestriction: 1000, gidRestriction: 100 },
  { payload: "in a realm", realm: "gpu" },
  ...[0, 1, 15, 16, 17, 4096].map((length) => ({
    payload: "0123456789".repeat(410).slice(0, length),
  })),
];
for (const { name: cipher, keyLength } of CIPHERS) {
  for (const { name: mac, length } of MACS) {
    for (const { name: zip } of ZIPS) {
      if (cipher === "default" || mac === "default" || mac === "none" || zip === "default") {
        continue;
      }
      if (length < keyLength) continue;
      choices.push({ cipher, mac, zip, payload: `${cipher}, ${mac}, ${zip}. `.repeat(16) });
    }
  }
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const subkeys = deriveSubkeys(KEY, primitives);
const credentials = choices.map((choice) => {
  const { cipher = "aes128", mac = "sha256", zip = "none", realm = "" } = choice;
  const { uidRestriction = ANY_ID, gidRestriction = ANY_ID, payload = "" } = choice;
  const bytes = new TextEncoder().encode(payload);
  const fields = {
    cipher: CIPHERS.find(({ name }) => name === cipher)!.number,
    mac: MACS.find(({ name }) => name === mac)!.number,
    zip: ZIPS.find(({ name }) => name === zip)!.number,
    realm,
    uidRestriction,
    gidRestriction,
    payload: bytes,
    originAddress: ORIGIN,
    ...COMMON,
  };
  const credential = armor(sealBytes(fields, subkeys, { salt: SALT, iv: IV }, primitives));
  return {
    cipher,
    mac,
    zip,
    realm,
    uidRestriction,
    gidRestriction,
    payload: toHex(bytes),
    credential,
  };
});
const file = {
  key: toHex(KEY),
  salt: toHex(SALT),
  iv: toHex(IV),
  originAddress: toHex(ORIGIN),
  ...COMMON,
  credentials,
};
writeFileSync(VECTOR_FILE, `${JSON.stringify(file, null, 2)}\n`);
