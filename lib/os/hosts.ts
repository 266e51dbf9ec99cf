// Names of hosts from the system's name service.
import { read } from "bun:ffi";
import { CString, FFIType, openLibc, type Pointer, ptr } from "./libc.ts";

const AF_INET = 2;
const { i32, ptr: pointer, u32 } = FFIType;

/** The name of the host with this IPv4 address of 4 bytes, if it has one. Blocks while it is looked up. */
export function hostName(address: Uint8Array): string | undefined {
  const { gethostbyaddr } = openLibc({
    gethostbyaddr: { args: [pointer, u32, i32], returns: pointer },
  });
  const host = gethostbyaddr(ptr(address), address.length, AF_INET);
  // struct hostent begins with the pointer to the name.
  return host === null ? undefined : new CString(read.ptr(host, 0) as Pointer).toString();
}
