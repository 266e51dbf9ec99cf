// The IPv4 address that credentials give as their origin.
import { hostname } from "node:os";
import { parseAddress } from "../../lib/bytes/host_address.ts";
import { MungeError } from "../../lib/errors.ts";
import { lookUpHost } from "../../lib/os/hosts.ts";
import { interfaceAddresses } from "../../lib/os/interfaces.ts";
import type { DaemonConfig } from "./config.ts";
import type { Logger } from "../process/log.ts";

/** Addresses that mean little to other hosts, with the log's words for them. */
const NOTES: readonly (readonly [(address: Uint8Array) => boolean, string])[] = [
  [(address) => address.every((byte) => byte === 0), "null address"],
  [([first]) => first === 127, "loopback, only meaningful on local host"],
  [([first, second]) => first === 169 && second === 254, "link-local, only valid on local segment"],
];

/** An origin, resolved. */
export interface Origin {
  /** The IPv4 address, 4 bytes. */
  readonly address: Uint8Array;
  /** The interface that has it, if any. */
  readonly interfaceName: string | undefined;
}

/**
 * Resolves `--origin`: an interface's name, an IPv4 address or a host name, tried in this order. Without the option, it
 * resolves the host's own name.
 *
 * @throws {MungeError} if the given origin can't be resolved, unless --force is given.
 */
export function resolveOrigin(
  { origin, force }: Pick<DaemonConfig, "origin" | "force">,
  logger: Pick<Logger, "warning">,
): Origin {
  const name = origin ?? hostname();
  const byName = interfaceAddresses().find((candidate) => candidate.name === name);
  if (byName !== undefined) return { address: byName.address, interfaceName: name };
  const found = resolve(name);
  if ("address" in found) {
    const { address } = found;
    const owner = interfaceAddresses().find((candidate) =>
      formatIPv4(candidate.address) === formatIPv4(address)
    );
    return { address, interfaceName: owner?.name };
  }
  const text = `Failed to resolve origin "${name}": ${found.failure}`;
  if (origin !== null && !force) throw new MungeError("EMUNGE_SNAFU", text);
  logger.warning(text);
  return { address: new Uint8Array(4), interfaceName: undefined };
}

function resolve(name: string): ReturnType<typeof lookUpHost> {
  const address = parseAddress(name);
  if (address === undefined) return lookUpHost(name);
  return address.length === 4 ? { address } : { failure: "Operation not supported" };
}

/** Logs the origin, as a warning if it means little to other hosts. */
export function announceOrigin(
  { address, interfaceName }: Origin,
  logger: Pick<Logger, "info" | "warning">,
): void {
  const owner = interfaceName === undefined ? "" : ` (${interfaceName})`;
  const text = `Set origin address to ${formatIPv4(address)}${owner}`;
  const note = NOTES.find(([applies]) => applies(address));
  if (note === undefined) logger.info(text);
  else logger.warning(`${text} - ${note[1]}`);
}

function formatIPv4(address: Uint8Array): string {
  return address.join(".");
}
