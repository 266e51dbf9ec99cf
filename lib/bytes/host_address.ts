// IPv4 and IPv6 addresses of hosts: text, bytes, and comparison.

/**
 * The IPv4 address inside an IPv6 one (::ffff:a.b.c.d), as reported by a dual-stack socket.
 *
 * @param address 4 or 16 bytes.
 * @returns its 4 bytes, or the address itself if it is not of that kind.
 */
export function plainAddress(address: Uint8Array): Uint8Array {
  const isMapped = address.length === 16 && address[10] === 0xff && address[11] === 0xff &&
    address.subarray(0, 10).every((byte) => byte === 0);
  return isMapped ? address.subarray(12) : address;
}

/**
 * Whether two addresses are the same.
 *
 * @param a 4 or 16 bytes.
 * @param b another.
 * @returns true if they are, even if one is an IPv4 address in IPv6 form.
 */
export function sameAddress(a: Uint8Array, b: Uint8Array): boolean {
  const plain = plainAddress(a);
  const other = plainAddress(b);
  return plain.length === other.length && plain.every((byte, i) => byte === other[i]);
}

/**
 * Parses an address.
 *
 * @param text four decimal numbers, or an IPv6 address.
 * @returns 4 or 16 bytes; undefined if it is neither.
 *
 * @example
 * ```ts
 * import { parseAddress } from "./lib/bytes/host_address.ts";
 *
 * console.log(parseAddress("127.0.0.1")?.join(".")); // "127.0.0.1"
 * ```
 */
export function parseAddress(text: string): Uint8Array | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  const isAddress = parts.length === 4 &&
    parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
  return isAddress ? Uint8Array.from(parts, Number) : undefined;
}

function parseIpv6(text: string): Uint8Array | undefined {
  // The last two groups may be written as an IPv4 address.
  const [, start = "", last = ""] = /^(.*:)([^:]*\.[^:]*)$/.exec(text) ?? [];
  const four = last === "" ? undefined : parseIpv4(last);
  if (last !== "" && four === undefined) return undefined;
  const whole = four === undefined
    ? text
    : `${start}${(four[0]! * 256 + four[1]!).toString(16)}:${
      (four[2]! * 256 + four[3]!).toString(16)
    }`;
  const halves = whole.split("::").map((half) => half === "" ? [] : half.split(":"));
  const [left = [], right = []] = halves;
  const count = left.length + right.length;
  if (halves.length > 2 || (halves.length === 2 ? count > 7 : count !== 8)) return undefined;
  const groups = [...left, ...new Array<string>(8 - count).fill("0"), ...right];
  if (!groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return undefined;
  return Uint8Array.from(groups.flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  }));
}
