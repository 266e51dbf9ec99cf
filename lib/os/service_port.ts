// Ports of services by name, from the system's name service (/etc/services).
import { cString, FFIType, openLibc, read } from "./libc.ts";

const { ptr: pointer } = FFIType;
/** struct servent: name, aliases (pointers), port (i32, in network order) ... */
const PORT = 16;

/**
 * The number of a TCP port.
 *
 * @param text a number or the name of a service.
 * @returns undefined if it is neither.
 */
export function tcpPort(text: string): number | undefined {
  if (/^\d{1,5}$/.test(text)) return Number(text) <= 0xffff ? Number(text) : undefined;
  const { getservbyname } = openLibc({
    getservbyname: { args: [pointer, pointer], returns: pointer },
  });
  const record = getservbyname(cString(text), cString("tcp"));
  if (record === null) return undefined;
  const port = read.u16(record, PORT);
  return (port & 0xff) << 8 | port >> 8;
}
