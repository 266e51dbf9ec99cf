// Reads the golden vectors: fixed key, salt, IV, time and origin, and the credentials they give.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CIPHERS } from "../../lib/credential/cipher.ts";
import type { CredentialFields, Randomness } from "../../lib/credential/fields.ts";
import { MACS } from "../../lib/credential/mac.ts";
import { ZIPS } from "../../lib/credential/zip.ts";

/** Path of the golden vectors. */
export const VECTOR_FILE = join(import.meta.dirname, "credentials.json");

/** The form of the file: bytes in hexadecimal, types by name. */
interface VectorFile {
  readonly key: string;
  readonly salt: string;
  readonly iv: string;
  readonly originAddress: string;
  readonly encodeTime: number;
  readonly ttl: number;
  readonly uid: number;
  readonly gid: number;
  readonly credentials: readonly {
    readonly cipher: string;
    readonly mac: string;
    readonly zip: string;
    readonly realm: string;
    readonly uidRestriction: number;
    readonly gidRestriction: number;
    readonly payload: string;
    readonly credential: string;
  }[];
}

/** A credential and its ingredients. */
export interface Vector {
  readonly name: string;
  readonly fields: CredentialFields;
  readonly credential: string;
}

/** The golden vectors, with the key and randomness they share. */
export interface Vectors {
  readonly key: Uint8Array;
  readonly random: Randomness;
  readonly vectors: readonly Vector[];
}

/** Reads the golden vectors. */
export function readVectors(): Vectors {
  const file = JSON.parse(readFileSync(VECTOR_FILE, "utf8")) as VectorFile;
  const { encodeTime, ttl, uid, gid } = file;
  return {
    key: fromHex(file.key),
    random: { salt: fromHex(file.salt), iv: fromHex(file.iv) },
    vectors: file.credentials.map((vector) => ({
      name: `${vector.cipher}, ${vector.mac}, ${vector.zip}, realm "${vector.realm}", ` +
        `${vector.payload.length / 2} bytes`,
      fields: {
        cipher: numberOf(CIPHERS, vector.cipher),
        mac: numberOf(MACS, vector.mac),
        zip: numberOf(ZIPS, vector.zip),
        realm: vector.realm,
        originAddress: fromHex(file.originAddress),
        encodeTime,
        ttl,
        uid,
        gid,
        uidRestriction: vector.uidRestriction,
        gidRestriction: vector.gidRestriction,
        payload: fromHex(vector.payload),
      },
      credential: vector.credential,
    })),
  };
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

function numberOf(table: readonly { number: number; name: string }[], name: string): number {
  return table.find((row) => row.name === name)!.number;
}
