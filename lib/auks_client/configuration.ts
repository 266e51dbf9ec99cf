// How client programs find, read and use auks.conf. lib/auks/config.ts has the meaning of its keys.
import { existsSync, readFileSync } from "node:fs";
import { type ClientConfig, clientConfig, type Server } from "../auks/config.ts";
import { AuksError } from "../auks/errors.ts";
import { parseBlocks } from "../auks/grammar.ts";
import { Context, KerberosError } from "../krb5/context.ts";
import { tcpPort } from "../os/service_port.ts";
import { systemText } from "../os/system_text.ts";
import { MAX_TIMER_MS } from "../timer.ts";
import type { AuksServer, ClientSettings } from "./client.ts";

/** Default paths: that of packages, and that of a plain build of the original. */
const DEFAULT_FILES = ["/etc/auks/auks.conf", "/etc/auks.conf"] as const;

/** A configuration, with the names of the blocks it was read from. */
export interface ClientConfiguration {
  readonly file: string;
  readonly config: ClientConfig;
  readonly hasRenewer: boolean;
}

/**
 * The file to read.
 *
 * @param given the argument of -f; undefined without it.
 */
export function configurationFile(given: string | undefined): string {
  return given ?? process.env["AUKS_CONF"] ??
    DEFAULT_FILES.find((file) => existsSync(file)) ?? DEFAULT_FILES[0];
}

/**
 * Reads auks.conf.
 *
 * @throws {AuksError} CONFIG_PARSE, CONFIG_EMPTY or CONFIG_INCOMPLETE.
 */
export function readConfiguration(file: string): ClientConfiguration {
  const blocks = parseBlocks(readFile(file), file);
  const knownRealms = realmsOf(blocks.some(({ settings }) => settings.some(hasSlashPrincipal)));
  return {
    file,
    config: clientConfig(blocks, { file, knownRealms }),
    hasRenewer: blocks.some(({ name }) => name.startsWith("ren")),
  };
}

function readFile(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new AuksError("CONFIG_PARSE", `${file} : ${systemText(error)}`);
  }
}

function hasSlashPrincipal({ key, value }: { key: string; value: Uint8Array }): boolean {
  return /principal$/i.test(key) && !new TextDecoder().decode(value).includes("@");
}

/** The realms of this host; asks libkrb5 only if it matters. */
function realmsOf(matters: boolean): string[] {
  if (!matters) return [];
  try {
    using context = Context.open();
    return [context.defaultRealm];
  } catch (error) {
    if (!(error instanceof KerberosError)) throw error;
    return []; // no default realm, so names without a realm are not possible
  }
}

/**
 * How to reach auksd with this configuration.
 *
 * @param ccache to authenticate with; undefined for the default one.
 * @throws {AuksError} CONFIG_PARSE for an unknown port.
 */
export function clientSettings(
  { config, file }: ClientConfiguration,
  ccache: string | undefined,
): ClientSettings {
  const { primary, secondary, nat, retries, timeout, delay } = config;
  const servers = secondary === undefined ? [primary] : [primary, secondary];
  return {
    servers: servers.map((server) => reach(server, file)),
    nat,
    retries,
    timeoutMs: Math.min(Math.max(0, timeout) * 1000, MAX_TIMER_MS),
    delayMs: Math.min(Math.max(0, delay) * 1000, MAX_TIMER_MS),
    ccache,
  };
}

function reach({ address, port, principal }: Server, file: string): AuksServer {
  const number = tcpPort(port);
  if (number === undefined) {
    throw new AuksError("CONFIG_PARSE", `${file} : unknown port "${port}"`);
  }
  return { host: address, port: number, principal };
}
