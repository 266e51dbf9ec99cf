// The library's view of the tables of ciphers, MACs and compressions: names, numbers, and which of them a credential can be
// requested with (munge_enum_int_to_str and related functions in libmunge).
import { type CipherName, CIPHERS } from "../credential/cipher.ts";
import { type MacName, MACS } from "../credential/mac.ts";
import { type ZipName, ZIPS } from "../credential/zip.ts";

/**
 * The names and numbers of one kind of type.
 *
 * @typeParam Name the names.
 */
export interface Enumeration<Name extends string> {
  /** The names that {@linkcode encode} accepts, in the order of their numbers. */
  readonly names: readonly Name[];
  /**
   * The number for a name.
   *
   * @param name a name, in lower case.
   * @returns its number, or undefined for an unknown name.
   */
  toNumber(name: string): number | undefined;
  /**
   * The name for a number.
   *
   * @param number a number on the wire.
   * @returns its name, or undefined for an unknown number.
   */
  toName(number: number): Name | undefined;
  /**
   * Whether {@linkcode encode} accepts a type. The MAC `none`, number 0, exists but is never valid.
   *
   * @param type a name or a number.
   * @returns true if it does.
   */
  isValid(type: string | number): boolean;
}

function enumeration<Name extends string>(
  table: readonly { readonly name: Name }[],
  firstValid = 0,
): Enumeration<Name> {
  const names = table.map(({ name }) => name);
  const toNumber = (name: string) => {
    const number = names.indexOf(name as Name);
    return number < 0 ? undefined : number;
  };
  return Object.freeze({
    names: Object.freeze(names.slice(firstValid)),
    toNumber,
    toName: (number: number) => names[number],
    isValid(type: string | number) {
      const number = typeof type === "string" ? toNumber(type) : type;
      return number !== undefined && number >= firstValid && names[number] !== undefined;
    },
  });
}

/**
 * The ciphers: `none` 0, `default` 1 (which is aes128), `blowfish` 2, `cast5` 3, `aes128` 4, `aes256` 5.
 *
 * @example
 * ```ts
 * import { ciphers } from "mungebox";
 *
 * console.log(ciphers.toNumber("aes256")); // 5
 * console.log(ciphers.toName(4)); // "aes128"
 * console.log(ciphers.isValid("rot13")); // false
 * ```
 */
export const ciphers: Enumeration<CipherName> = enumeration(CIPHERS);

/**
 * The message authentication codes: `none` 0 (never valid), `default` 1 (which is sha256), `md5` 2,
 * `sha1` 3, `ripemd160` 4, `sha256` 5, `sha512` 6.
 *
 * @example
 * ```ts
 * import { macs } from "mungebox";
 *
 * console.log(macs.names.includes("sha512")); // true
 * console.log(macs.isValid("none")); // false
 * ```
 */
export const macs: Enumeration<MacName> = enumeration(MACS, 1);

/**
 * The compressions: `none` 0, `default` 1 (which is none), `bzlib` 2, `zlib` 3.
 *
 * @example
 * ```ts
 * import { zips } from "mungebox";
 *
 * console.log(zips.names); // ["none", "default", "bzlib", "zlib"]
 * ```
 */
export const zips: Enumeration<ZipName> = enumeration(ZIPS);
