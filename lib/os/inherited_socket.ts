// Examines a descriptor that this process got from another one, and that should be a listening Unix socket. Linux only.
import { FFIType, openLibc, SystemError, textBeforeNul } from "./libc.ts";
import { AF_UNIX, SUN_PATH_LENGTH } from "./unix_address.ts";

const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_ACCEPTCONN = 30;
const SO_DOMAIN = 39;
const SOCK_STREAM = 1;
/** Where the path begins in struct sockaddr_un, after the family. */
const SUN_PATH = 2;

const { i32, ptr: pointer } = FFIType;

function openSockets() {
  return openLibc({
    getsockopt: { args: [i32, i32, i32, pointer, pointer], returns: i32 },
    getsockname: { args: [i32, pointer, pointer], returns: i32 },
  });
}

/**
 * The path on which a socket listens; an abstract name starts with "@".
 *
 * @throws {Error} that says why the descriptor is not a listening Unix stream socket.
 */
export function listeningPath(fd: number): string {
  const c = openSockets();
  const option = (name: number): number => {
    const value = new Int32Array(1);
    if (c.getsockopt(fd, SOL_SOCKET, name, value, new Uint32Array([4])) < 0) {
      throw new SystemError("getsockopt"); // ENOTSOCK: "Socket operation on non-socket"
    }
    return value[0]!;
  };
  if (option(SO_DOMAIN) !== AF_UNIX) throw new Error("Not a Unix domain socket");
  if (option(SO_TYPE) !== SOCK_STREAM) throw new Error("Not a stream socket");
  if (option(SO_ACCEPTCONN) === 0) throw new Error("Not a listening socket");
  const address = new Uint8Array(SUN_PATH + SUN_PATH_LENGTH + 1);
  const length = new Uint32Array([address.length - 1]);
  if (c.getsockname(fd, address, length) < 0) throw new SystemError("getsockname");
  if (length[0]! <= SUN_PATH) throw new Error("Not bound to a path");
  if (address[SUN_PATH] !== 0) return textBeforeNul(address, SUN_PATH);
  return `@${new TextDecoder().decode(address.subarray(SUN_PATH + 1, length[0]))}`;
}
