// Datagrams to Unix domain sockets, sent without blocking, for syslog and sd_notify.
import { FFIType, openLibc, SystemError } from "./libc.ts";
import { AF_UNIX, unixAddress } from "./unix_address.ts";

const isLinux = process.platform === "linux";
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = isLinux ? 0o2000000 : process.platform === "freebsd" ? 0x1000_0000 : 0;
const MSG_DONTWAIT = isLinux ? 0x40 : 0x80;
const { i32, i64, u32, u64, ptr: pointer } = FFIType;
const c = openLibc({
  socket: { args: [i32, i32, i32], returns: i32 },
  sendto: { args: [i32, pointer, u64, i32, pointer, u32], returns: i64 },
});

/** Descriptor of an unconnected datagram socket. */
export function openDatagramSocket(): number {
  const fd = c.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new SystemError("socket");
  return fd;
}

/**
 * Sends one datagram. The socket is not connected, so a restarted receiver needs no special handling.
 *
 * @param path of the receiver; a leading "@" means an abstract name on Linux.
 * @returns whether the receiver's queue accepted it.
 */
export function sendDatagram(fd: number, path: string, text: string): boolean {
  const address = unixAddress(path);
  if (address === undefined) return false;
  let length = address.length;
  if (isLinux && path.startsWith("@")) {
    address[2] = 0;
    length = 2 + new TextEncoder().encode(path).length; // an abstract name ends where the address ends
  }
  const bytes = new TextEncoder().encode(text);
  const sent = c.sendto(fd, bytes, bytes.length, MSG_DONTWAIT, address, length);
  return Number(sent) === bytes.length;
}
