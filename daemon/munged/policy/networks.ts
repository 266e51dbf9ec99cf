// IPv4 networks: their notation, and whether an address lies in one.
import { parseAddress } from "../../../lib/bytes/host_address.ts";
import type { Network } from "../config.ts";

const ADDRESS_BITS = 32;

/**
 * Reads a network in CIDR notation (RFC 4632), or a single address.
 *
 * @throws {Error} that says why it is invalid.
 */
export function parseNetwork(text: string): Network {
  const [, host = "", length = `${ADDRESS_BITS}`] = /^([^/]*)(?:\/(\d{1,2}))?$/.exec(text) ?? [];
  const bits = Number(length);
  const bytes = parseAddress(host);
  if (bytes?.length !== 4 || bits > ADDRESS_BITS) {
    throw new Error(`"${text}" is not an IPv4 network, such as 10.1.0.0/16`);
  }
  const address = addressNumber(bytes);
  const mask = bits === 0 ? 0 : -1 << (ADDRESS_BITS - bits) >>> 0;
  const network = { address: (address & mask) >>> 0, mask };
  if (network.address !== address) {
    throw new Error(
      `"${text}" has bits set beyond its prefix; the network is ${formatNetwork(network)}`,
    );
  }
  return network;
}

/** A network in CIDR notation; a single address without a prefix length. */
export function formatNetwork({ address, mask }: Network): string {
  const bytes = [24, 16, 8, 0].map((shift) => address >>> shift & 0xff);
  const bits = ADDRESS_BITS - Math.log2(2 ** ADDRESS_BITS - mask);
  return bits === ADDRESS_BITS ? bytes.join(".") : `${bytes.join(".")}/${bits}`;
}

/** Whether an origin address lies in one of the networks; a credential without one (no bytes) comes from none. */
export function isWithin(networks: readonly Network[], origin: Uint8Array): boolean {
  if (origin.length === 0) return false;
  const number = addressNumber(origin);
  return networks.some(({ address, mask }) => (number & mask) >>> 0 === address);
}

function addressNumber(bytes: Uint8Array): number {
  return (bytes[0]! << 24 | bytes[1]! << 16 | bytes[2]! << 8 | bytes[3]!) >>> 0;
}
