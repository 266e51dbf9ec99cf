// The kernel's format of a Unix socket address: struct sockaddr_un.
import { fixedMemory } from "./libc.ts";

const isLinux = process.platform === "linux";

/** The address family of Unix sockets. */
export const AF_UNIX = 1;
/** Bytes for a path in sockaddr_un, including its NUL. */
export const SUN_PATH_LENGTH = isLinux ? 108 : 104;

/** The sockaddr_un of `path`; undefined if the path is too long for one. */
export function unixAddress(path: string): Uint8Array | undefined {
  const name = pathBytes(path);
  if (name.length >= SUN_PATH_LENGTH) return undefined;
  const address = new Uint8Array(fixedMemory(2 + SUN_PATH_LENGTH));
  // Linux: a two-byte family; BSD: a length byte, then the family.
  address[isLinux ? 0 : 1] = AF_UNIX;
  if (!isLinux) address[0] = address.length;
  address.set(name, 2);
  return address;
}

/** A path in UTF-8. Most paths are ASCII, and creating an encoder takes long. */
function pathBytes(path: string): Uint8Array {
  const bytes = new Uint8Array(path.length);
  for (let i = 0; i < path.length; i++) {
    const unit = path.charCodeAt(i);
    if (unit > 0x7f) return new TextEncoder().encode(path);
    bytes[i] = unit;
  }
  return bytes;
}
