// Writes an armored credential directly into a response. lib/credential/armor.ts returns a string, which would first
// have to be joined: another 0.3 us per credential.
import { LARGE_LENGTH } from "../../../lib/bytes/memory.ts";
import {
  ARMOR_PREFIX,
  ARMOR_SUFFIX,
  armoredLength,
  toBase64,
} from "../../../lib/credential/armor.ts";
import { writeLongBase64 } from "./long_base64.ts";

/** Like TextEncoder's encodeInto(), but at any offset of a Uint8Array, without a view. */
const { latin1Write } = Buffer.prototype as unknown as {
  latin1Write(this: Uint8Array, text: string, at: number): number;
};

/** Writes the armored form of a credential's bytes to `target`, starting at `at`. */
export function writeArmor(bytes: Uint8Array, target: Uint8Array, at: number): void {
  latin1Write.call(target, ARMOR_PREFIX, at);
  const start = at + ARMOR_PREFIX.length;
  if (bytes.length > LARGE_LENGTH) writeLongBase64(bytes, target, start);
  else latin1Write.call(target, toBase64(bytes), start);
  const end = at + armoredLength(bytes.length) - ARMOR_SUFFIX.length;
  latin1Write.call(target, ARMOR_SUFFIX, end);
}
