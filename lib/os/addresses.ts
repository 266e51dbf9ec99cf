// IPv4 and IPv6 addresses of hosts, from the system's name service, in the kernel's format.
import { CString, cString, FFIType, openLibc, type Pointer, read, toArrayBuffer } from "./libc.ts";

const isLinux = process.platform === "linux";
const AF_INET = 2;
const AF_INET6 = isLinux ? 10 : process.platform === "darwin" ? 30 : 28;
const SOCK_STREAM = 1;
const AI_PASSIVE = 1;
/** Offsets in the 64-bit struct addrinfo; glibc and musl have ai_addr before ai_canonname. */
const ADDRINFO = {
  bytes: 48,
  flags: 0,
  socketType: 8,
  length: 16,
  address: isLinux ? 24 : 32,
  next: 40,
};
/** Offsets in struct sockaddr_in and sockaddr_in6. */
const SOCKADDR = { port: 2, ipv4: 4, ipv6: 8 };

const { i32, ptr: pointer } = FFIType;

/** An address in the kernel's format. */
export interface SocketAddress {
  readonly family: 4 | 6;
  /** 4 or 16 bytes. */
  readonly bytes: Uint8Array;
  readonly port: number;
  /** The struct sockaddr. */
  readonly sockaddr: Uint8Array;
}

/**
 * The addresses of a host name, or of a numeric address. Blocks during the look-up.
 *
 * @param host empty for all addresses of this host, for listening.
 * @param service a port number or the name of a service.
 * @returns the addresses in the system's order, or the reason why there are none.
 */
export function lookUpAddresses(
  host: string,
  service: string,
): { readonly addresses: readonly SocketAddress[] } | { readonly failure: string } {
  const { getaddrinfo, freeaddrinfo, gai_strerror } = openLibc({
    getaddrinfo: { args: [pointer, pointer, pointer, pointer], returns: i32 },
    freeaddrinfo: { args: [pointer], returns: FFIType.void },
    gai_strerror: { args: [i32], returns: pointer },
  });
  const hints = new Uint8Array(ADDRINFO.bytes);
  const hintsView = new DataView(hints.buffer);
  hintsView.setInt32(ADDRINFO.flags, host === "" ? AI_PASSIVE : 0, true);
  hintsView.setInt32(ADDRINFO.socketType, SOCK_STREAM, true);
  const result = new BigUint64Array(1);
  const name = cString(host);
  const port = cString(service);
  const error = getaddrinfo(
    host === "" ? null : name,
    port,
    hints,
    result,
  );
  if (error !== 0) {
    const text = gai_strerror(error);
    return { failure: text === null ? `Error ${error}` : new CString(text).toString() };
  }
  const first = Number(result[0]) as Pointer;
  try {
    const addresses: SocketAddress[] = [];
    for (let at = first; (at as number) !== 0; at = read.ptr(at, ADDRINFO.next) as Pointer) {
      const length = read.u32(at, ADDRINFO.length);
      const start = read.ptr(at, ADDRINFO.address) as Pointer;
      const address = socketAddress(new Uint8Array(toArrayBuffer(start, 0, length)).slice());
      if (address !== undefined) addresses.push(address);
    }
    return { addresses };
  } finally {
    freeaddrinfo(first);
  }
}

/** Parses a struct sockaddr; undefined if its family is neither IPv4 nor IPv6. */
function socketAddress(sockaddr: Uint8Array): SocketAddress | undefined {
  const view = new DataView(sockaddr.buffer);
  const family = isLinux ? view.getUint16(0, true) : view.getUint8(1);
  const port = view.getUint16(SOCKADDR.port);
  if (family === AF_INET) {
    return { family: 4, bytes: sockaddr.slice(SOCKADDR.ipv4, SOCKADDR.ipv4 + 4), port, sockaddr };
  }
  if (family !== AF_INET6) return undefined;
  return { family: 6, bytes: sockaddr.slice(SOCKADDR.ipv6, SOCKADDR.ipv6 + 16), port, sockaddr };
}
