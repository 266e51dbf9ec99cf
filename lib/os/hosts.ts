// IPv4 addresses of host names, and host names of addresses, from the system's name service.
import { canCallLibc, CString, cString, FFIType, openLibc, type Pointer, read } from "./libc.ts";
import { hostNameOf } from "./libc_fallbacks.ts";

const AF_INET = 2;
const EAI_NONAME = process.platform === "linux" ? -2 : 8;
/** Offset of ai_addr in the 64-bit struct addrinfo; glibc and musl have it before ai_canonname. */
const AI_ADDRESS = process.platform === "linux" ? 24 : 32;
/** Offset of sin_addr in struct sockaddr_in. */
const ADDRESS = 4;

const { i32, ptr: pointer, u32 } = FFIType;

/**
 * The first IPv4 address of a host name, or of a numeric address. Blocks during the look-up.
 *
 * @returns its 4 bytes, or the reason why there is none.
 */
export function lookUpHost(name: string): { address: Uint8Array } | { failure: string } {
  const { getaddrinfo, freeaddrinfo, gai_strerror } = openLibc({
    getaddrinfo: { args: [pointer, pointer, pointer, pointer], returns: i32 },
    freeaddrinfo: { args: [pointer], returns: FFIType.void },
    gai_strerror: { args: [i32], returns: pointer },
  });
  const hints = new Uint8Array(48);
  new DataView(hints.buffer).setInt32(4, AF_INET, true);
  const result = new BigUint64Array(1);
  const error = getaddrinfo(cString(name), null, hints, result);
  if (error !== 0) {
    const text = gai_strerror(error);
    const reason = text === null ? `Error ${error}` : new CString(text).toString();
    return { failure: error === EAI_NONAME ? "Host not found" : reason };
  }
  const first = Number(result[0]) as Pointer;
  try {
    const address = read.ptr(first, AI_ADDRESS) as Pointer;
    return {
      address: Uint8Array.from({ length: 4 }, (_, index) => read.u8(address, ADDRESS + index)),
    };
  } finally {
    freeaddrinfo(first);
  }
}

/** For resolv.conf(5): one second for each name server, instead of five seconds twice. */
const SHORT_TIMEOUT = "timeout:1 attempts:1";

/**
 * Name of the host with this 4-byte IPv4 address, if it has one. Blocks during the look-up, but not for long if name servers
 * are dead, unless RES_OPTIONS is set.
 */
export function hostName(address: Uint8Array): string | undefined {
  if (!canCallLibc()) return hostNameOf(address.join("."));
  const { gethostbyaddr, setenv } = openLibc({
    gethostbyaddr: { args: [pointer, u32, i32], returns: pointer },
    setenv: { args: [pointer, pointer, i32], returns: i32 },
  });
  // The resolver reads libc's environment, of which process.env is only a copy.
  const [name, value] = [cString("RES_OPTIONS"), cString(SHORT_TIMEOUT)];
  setenv(name, value, 0);
  const host = gethostbyaddr(address, address.length, AF_INET);
  // struct hostent begins with the pointer to the name.
  return host === null ? undefined : new CString(read.ptr(host, 0) as Pointer).toString();
}
