// Writes an armored credential directly into a response. lib/credential/armor.ts returns a string, which would first
// have to be joined: another 0.3 us per credential.
import { ARMOR_PREFIX, ARMOR_SUFFIX, toBase64 } from "../../../lib/credential/armor.ts";

/** Like TextEncoder's encodeInto(), but at any offset of a Uint8Array, without a view. */
const { latin1Write } = Buffer.prototype as unknown as {
  latin1Write(this: Uint8Array, text: string, at: number): number;
};

/** Writes the armored form of a credential's bytes to `target`, starting at `at`. */
export function writeArmor(bytes: Uint8Array, target: Uint8Array, at: number): void {
  latin1Write.call(target, ARMOR_PREFIX, at);
  const text = toBase64(bytes);
  latin1Write.call(target, text, at + ARMOR_PREFIX.length);
  latin1Write.call(target, ARMOR_SUFFIX, at + ARMOR_PREFIX.length + text.length);
}
