// The sockets on which auksd listens: one for each address of the name in its configuration.
import { AuksError } from "../../lib/auks/errors.ts";
import { lookUpAddresses, type SocketAddress } from "../../lib/os/addresses.ts";
import { SystemError } from "../../lib/os/libc.ts";
import { close } from "../../lib/os/socket.ts";
import { listenTcp } from "../../lib/os/tcp.ts";

/** A name may have addresses of other hosts, which can't be bound. */
const EAFNOSUPPORT = process.platform === "linux" ? 97 : 47;
const EADDRNOTAVAIL = process.platform === "linux" ? 99 : 49;
const MIN_BACKLOG = 128;

/**
 * Listens on every address of `address` that this host has, IPv6 and IPv4. Blocks during the look-up.
 *
 * @param address empty for all.
 * @param backlog connections that may wait to be accepted; a small number, like the original's, is raised.
 * @returns descriptors.
 * @throws {AuksError} AUKSD_SOCKET if none can be bound, or one is in use.
 */
export function openListeners(address: string, port: string, backlog: number): number[] {
  const found = lookUpAddresses(address, port);
  const fail = (reason: string) => new AuksError("AUKSD_SOCKET", `${address}:${port}: ${reason}`);
  if ("failure" in found) throw fail(found.failure);
  const listeners: number[] = [];
  let failure = "No address";
  for (const each of found.addresses) {
    try {
      listeners.push(listen(each, backlog));
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      failure = error.message;
      if (error.errno === EADDRNOTAVAIL || error.errno === EAFNOSUPPORT) continue;
      listeners.forEach(close);
      throw fail(failure);
    }
  }
  if (listeners.length === 0) throw fail(failure);
  return listeners;
}

function listen(address: SocketAddress, backlog: number): number {
  return listenTcp(address, Math.max(backlog, MIN_BACKLOG));
}
