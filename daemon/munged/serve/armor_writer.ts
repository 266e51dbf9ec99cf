// Writes an armored credential straight into an answer. lib/credential/armor.ts makes a text of it, which would have to
// be joined first: another 0.3 us for each credential.
import { ARMOR_PREFIX, ARMOR_SUFFIX, toBase64 } from "../../../lib/credential/armor.ts";

/** As TextEncoder's encodeInto(), but for any Uint8Array at any offset: it needs no view. */
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
