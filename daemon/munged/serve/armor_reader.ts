// Takes the armor off a received credential. lib/credential/armor.ts reads strings, and long strings are costly garbage.
import { LARGE_LENGTH, newBytes } from "../../../lib/bytes/memory.ts";
import { ARMOR_PREFIX, ARMOR_SUFFIX, unarmor } from "../../../lib/credential/armor.ts";
import { readLongBase64 } from "./long_base64.ts";

const latin1 = new TextDecoder("latin1");
const PREFIX = new TextEncoder().encode(ARMOR_PREFIX);
const SUFFIX = ARMOR_SUFFIX.charCodeAt(0);

/** The bytes inside an armored credential. @throws {MungeError} as unarmor() does. */
export function readArmor(credential: Uint8Array): Uint8Array {
  const isLong = credential.length > LARGE_LENGTH;
  return (isLong ? readLong(credential) : undefined) ?? unarmor(latin1.decode(credential));
}

/** The same for a long credential in the form that munged writes; undefined for any other. */
function readLong(credential: Uint8Array): Uint8Array | undefined {
  if (PREFIX.some((byte, index) => credential[index] !== byte)) return undefined;
  const end = credential.lastIndexOf(SUFFIX);
  return readLongBase64(credential, PREFIX.length, end, newBytes);
}
