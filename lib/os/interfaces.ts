// The IPv4 addresses of all network interfaces. The runtime's own list omits interfaces that are down or without carrier,
// like InfiniBand while a node boots.
import { CString, FFIType, openLibc, type Pointer, read, SystemError } from "./libc.ts";

const AF_INET = 2;
const isLinux = process.platform === "linux";
// 64-bit struct ifaddrs: next and name (pointers), flags (u32), addr (pointer).
const NEXT = 0;
const NAME = 8;
const ADDRESS = 24;
/** sa_family: 16 bits on Linux, the second byte elsewhere. */
const readFamily = (address: Pointer) => isLinux ? read.u16(address, 0) : read.u8(address, 1);
/** Offset of sin_addr in struct sockaddr_in. */
const IPV4 = 4;

/** One IPv4 address of an interface. */
export interface InterfaceAddress {
  /** Name of the interface, such as `ib0`. */
  readonly name: string;
  /** 4 bytes. */
  readonly address: Uint8Array;
}

/** Every IPv4 address of every interface, in the system's order. @throws {SystemError} */
export function interfaceAddresses(): InterfaceAddress[] {
  const { getifaddrs, freeifaddrs } = openLibc({
    getifaddrs: { args: [FFIType.ptr], returns: FFIType.i32 },
    freeifaddrs: { args: [FFIType.ptr], returns: FFIType.void },
  });
  const first = new BigUint64Array(1);
  if (getifaddrs(first) < 0) throw new SystemError("getifaddrs");
  const list = Number(first[0]);
  if (list === 0) return [];
  const found: InterfaceAddress[] = [];
  try {
    for (let at = list; at !== 0; at = read.ptr(at as Pointer, NEXT)) {
      const address = read.ptr(at as Pointer, ADDRESS) as Pointer;
      if (Number(address) === 0 || readFamily(address) !== AF_INET) continue;
      found.push({
        name: new CString(read.ptr(at as Pointer, NAME) as Pointer).toString(),
        address: Uint8Array.from({ length: 4 }, (_, index) => read.u8(address, IPV4 + index)),
      });
    }
  } finally {
    freeifaddrs(list as Pointer);
  }
  return found;
}
