// Listening TCP sockets: how addresses are bound.
import type { SocketAddress } from "./addresses.ts";
import { FFIType, openLibc, SystemError } from "./libc.ts";

const isLinux = process.platform === "linux";
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = isLinux ? 0o2000000 : 0x1000_0000;
const SOCK_NONBLOCK = isLinux ? 0o4000 : 0x2000_0000;
const SOL_SOCKET = isLinux ? 1 : 0xffff;
const SO_REUSEADDR = isLinux ? 2 : 4;
const SO_KEEPALIVE = isLinux ? 9 : 8;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = isLinux ? 26 : 27;
/** struct sockaddr begins with its family. */
const FAMILY_OFFSET = isLinux ? 0 : 1;

const { i32, u32, ptr: pointer } = FFIType;
const c = openLibc({
  socket: { args: [i32, i32, i32], returns: i32 },
  setsockopt: { args: [i32, i32, i32, pointer, u32], returns: i32 },
  bind: { args: [i32, pointer, u32], returns: i32 },
  listen: { args: [i32, i32], returns: i32 },
  close: { args: [i32], returns: i32 },
});

/**
 * Descriptor of a non-blocking listening socket. Accepted connections inherit its options: to send small messages
 * immediately, and to notice vanished peers. An IPv6 socket accepts no IPv4 connections.
 *
 * @throws {SystemError} naming the call that failed.
 */
export function listenTcp({ family, sockaddr }: SocketAddress, backlog: number): number {
  const type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const fd = c.socket(sockaddr[FAMILY_OFFSET]!, type, 0);
  if (fd < 0) throw new SystemError("socket");
  const set = (level: number, option: number) => {
    const one = Int32Array.of(1);
    if (c.setsockopt(fd, level, option, one, 4) < 0) throw new SystemError("setsockopt");
  };
  try {
    set(SOL_SOCKET, SO_REUSEADDR);
    set(SOL_SOCKET, SO_KEEPALIVE);
    set(IPPROTO_TCP, TCP_NODELAY);
    if (family === 6) set(IPPROTO_IPV6, IPV6_V6ONLY);
    if (c.bind(fd, sockaddr, sockaddr.length) < 0) throw new SystemError("bind");
    if (c.listen(fd, backlog) < 0) throw new SystemError("listen");
    return fd;
  } catch (error) {
    c.close(fd);
    throw error;
  }
}
