// Option values that several commands share: numbers as C parses them, types, users, groups, times-to-live. An invalid
// value is a MungeError in the reference's words.
import { CIPHER_DEFAULT, CIPHERS } from "../../lib/credential/cipher.ts";
import { MungeError } from "../../lib/errors.ts";
import { MAC_DEFAULT, MACS } from "../../lib/credential/mac.ts";
import { ANY_ID, TTL_DEFAULT, TTL_MAXIMUM } from "../../lib/protocol/message.ts";
import { groupByName, userByName } from "../../lib/os/users.ts";
import { DEFAULT_SOCKET } from "../../lib/paths.ts";
import { ZIP_DEFAULT, ZIPS } from "../../lib/credential/zip.ts";
import type { Option } from "./options.ts";
import { argumentBytes } from "./argument_bytes.ts";
import { named, parsed, printing, text } from "./vocabulary.ts";

/** Maximum values of C's types on 64-bit systems. */
export const INT_MAX = 0x7fff_ffffn;
const LONG_MAX = 0x7fff_ffff_ffff_ffffn;
export const ULONG_MAX = 0xffff_ffff_ffff_ffffn;

/** An option error: exit status 1. */
export function refuse(text: string): never {
  throw new MungeError("EMUNGE_SNAFU", text);
}

/**
 * The decimal number at the start of a text, parsed like strtol() (after optional white space and a sign), and the text
 * after it; undefined if there is none.
 */
export function leadingNumber(text: string): { number: bigint; rest: string } | undefined {
  const match = /^[ \t\n\v\f\r]*([+-]?)([0-9]+)/.exec(text);
  if (match === null) return undefined;
  const number = BigInt(match[2]!);
  return { number: match[1] === "-" ? -number : number, rest: text.slice(match[0].length) };
}

/** The units of counts and sizes. */
export const COUNT_UNITS: Readonly<Record<string, bigint>> = {
  k: 1000n,
  m: 1_000_000n,
  g: 1_000_000_000n,
  K: 1024n,
  M: 1_048_576n,
  G: 1_073_741_824n,
};

/** The decimal number that makes up the whole text, or undefined. */
export function wholeNumber(text: string): bigint | undefined {
  const parsed = leadingNumber(text);
  return parsed?.rest === "" ? parsed.number : undefined;
}

interface NamedType {
  readonly number: number;
  readonly name: string;
}

/** One of the credential's three kinds of types, as options name and list it. */
interface TypeKind {
  /** Such as "cipher", for `--cipher` and `Invalid cipher type`. */
  readonly name: "cipher" | "MAC" | "compression";
  readonly heading: string;
  readonly types: readonly NamedType[];
}

const CIPHER_KIND: TypeKind = { name: "cipher", heading: "Cipher types", types: CIPHERS };
/** Without the MAC none, which is never valid. */
const MAC_KIND: TypeKind = { name: "MAC", heading: "MAC types", types: MACS.slice(1) };
const ZIP_KIND: TypeKind = { name: "compression", heading: "Compression types", types: ZIPS };

function parseType(kind: TypeKind, value: string): number {
  const number = wholeNumber(value);
  const name = value.toLowerCase();
  const found = kind.types.find((type) => type.name === name || BigInt(type.number) === number);
  return found?.number ?? refuse(`Invalid ${kind.name} type "${value}"`);
}

/** The fields of an encode request that options set. */
export interface EncodeSettings {
  /** Numbers of the types. */
  cipher: number;
  mac: number;
  zip: number;
  /** The UID and GID that may decode, or ANY_ID. */
  uidRestriction: number;
  gidRestriction: number;
  /** Seconds, TTL_DEFAULT or TTL_MAXIMUM. */
  ttl: number;
  socket: string;
}

/** The defaults of munge and remunge. */
export const ENCODE_DEFAULTS: Readonly<EncodeSettings> = {
  cipher: CIPHER_DEFAULT,
  mac: MAC_DEFAULT,
  zip: ZIP_DEFAULT,
  uidRestriction: ANY_ID,
  gidRestriction: ANY_ID,
  ttl: TTL_DEFAULT,
  socket: DEFAULT_SOCKET,
};

/** The group of options for cipher, MAC and compression, shared by munge and remunge. */
export const TYPE_OPTIONS: readonly Option<EncodeSettings>[] = [
  typeOption("-c, --cipher=STR", "Specify cipher type", "cipher", CIPHER_KIND),
  listing("-C, --list-ciphers", "Display a list of supported ciphers", CIPHER_KIND),
  typeOption("-m, --mac=STR", "Specify MAC type", "mac", MAC_KIND),
  listing("-M, --list-macs", "Display a list of supported MACs", MAC_KIND),
  typeOption("-z, --zip=STR", "Specify compression type", "zip", ZIP_KIND),
  listing("-Z, --list-zips", "Display a list of supported compressions", ZIP_KIND),
];

function typeOption(
  names: string,
  help: string,
  key: "cipher" | "mac" | "zip",
  kind: TypeKind,
): Option<EncodeSettings> {
  return parsed(names, help, key, (value) => parseType(kind, value));
}

function listing(names: string, help: string, { heading, types }: TypeKind): Option<unknown> {
  return printing(names, help, () => {
    const lines = types.map(({ name, number }) => `  ${name} (${number})\n`);
    return `${heading}:\n\n${lines.join("")}\n`;
  });
}

/** Restricts decoding to a UID. */
export const RESTRICT_UID_OPTION: Option<EncodeSettings> = named(
  "-u, --restrict-uid=UID",
  "Restrict credential decoding by user/UID",
  "uidRestriction",
  parseUser,
);

/** Restricts decoding to a GID. */
export const RESTRICT_GID_OPTION: Option<EncodeSettings> = named(
  "-g, --restrict-gid=GID",
  "Restrict credential decoding by group/GID",
  "gidRestriction",
  parseGroup,
);

/** Sets the time-to-live. */
export const TTL_OPTION: Option<EncodeSettings> = parsed(
  "-t, --ttl=SECS",
  "Specify time-to-live (in seconds; 0=dfl -1=max)",
  "ttl",
  parseTtl,
);

function parseTtl(value: string): number {
  const ttl = wholeNumber(value);
  if (ttl === undefined || ttl < -1n) refuse(`Invalid time-to-live '${value}'`);
  if (ttl > LONG_MAX) refuse(`Overflowed maximum time-to-live of ${LONG_MAX} seconds`);
  if (ttl > BigInt(TTL_MAXIMUM)) refuse(`Exceeded maximum time-to-live of ${TTL_MAXIMUM} seconds`);
  return ttl === -1n ? TTL_MAXIMUM : Number(ttl);
}

/** Sets munged's socket. */
export const SOCKET_OPTION: Option<{ socket: string }> = text(
  "-S, --socket=PATH",
  "Specify local socket for munged",
  "socket",
);

/** The UID for `value`, a user name or number. */
export function parseUser(value: string): number {
  return userByName(nameOf(value))?.uid ?? parseId(value) ?? refuse(`Unrecognized user "${value}"`);
}

/** The GID for `value`, a group name or number. */
export function parseGroup(value: string): number {
  return groupByName(nameOf(value))?.gid ?? parseId(value) ??
    refuse(`Unrecognized group "${value}"`);
}

/** A name in the name service's own encoding. */
function nameOf(value: string): string | Uint8Array {
  return value.isWellFormed() ? value : argumentBytes(value);
}

/** A number that can be an ID: one that fits in 32 bits and does not stand for anyone. */
function parseId(value: string): number | undefined {
  const id = wholeNumber(value);
  return id === undefined || id < 0n || id >= BigInt(ANY_ID) ? undefined : Number(id);
}
