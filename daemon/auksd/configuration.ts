// How auksd finds, reads and checks auks.conf and auks.acl, and what it logs about them. lib/auks has the meaning of their
// keys.
import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { type Acl, parseAcl } from "../../lib/auks/acl.ts";
import {
  type DaemonConfig,
  daemonConfig,
  type DaemonRole,
  daemonRole,
  type Server,
} from "../../lib/auks/config.ts";
import { DIALECT_SETTINGS, type Packings } from "../../lib/auks/own_config.ts";
import { AuksError, type AuksErrorName } from "../../lib/auks/errors.ts";
import { parseBlocks } from "../../lib/auks/grammar.ts";
import { Context, KerberosError } from "../../lib/krb5/context.ts";
import { systemText } from "../../lib/os/system_text.ts";

/** Default paths: that of packages, and that of a plain build of the original. */
const DEFAULT_FILES = ["/etc/auks/auks.conf", "/etc/auks.conf"] as const;

/** auksd's settings from files. */
export interface AuksdConfiguration {
  readonly file: string;
  readonly config: DaemonConfig;
  readonly role: DaemonRole;
  /** Its address and its principal. */
  readonly server: Server;
  readonly keytab: string;
  /** The other auksd of the pair, if one is configured. */
  readonly peer: Server | undefined;
  readonly acl: Acl;
  readonly packing: Packings;
  /** Warnings about both files for the administrator. */
  readonly warnings: readonly string[];
}

/** The configuration file: from -f, from AUKSD_CONF, or the first default one that exists. */
export function configurationFile(given: string | undefined): string {
  return given ?? process.env["AUKSD_CONF"] ??
    DEFAULT_FILES.find((file) => existsSync(file)) ?? DEFAULT_FILES[0];
}

/**
 * Reads and checks both files.
 *
 * @throws {AuksError} for the first mistake, with file and line in its reason.
 */
export function readConfiguration(file: string): AuksdConfiguration {
  const blocks = parseBlocks(readFile(file, "CONFIG_PARSE"), file);
  const knownRealms = realms();
  const config = daemonConfig(blocks, { file, knownRealms });
  const { aclFile, primaryKeytab, secondaryKeytab } = config.auksd;
  const acl = parseAcl(readFile(aclFile, "ACL_PARSE"), aclFile, knownRealms);
  const role = daemonRole(config, hostname());
  const isSecondary = role === "secondary" && config.secondary !== undefined;
  return {
    file,
    config,
    role,
    server: isSecondary ? config.secondary : config.primary,
    keytab: isSecondary ? secondaryKeytab : primaryKeytab,
    peer: role === "local primary" ? undefined : isSecondary ? config.primary : config.secondary,
    acl,
    packing: DIALECT_SETTINGS[config.own.dialect],
    warnings: [...config.warnings, ...acl.warnings, ...replicationWarnings(config, role)],
  };
}

function replicationWarnings(config: DaemonConfig, role: DaemonRole): string[] {
  if (!config.own.replicate || (config.secondary !== undefined && role !== "local primary")) {
    return [];
  }
  return [
    "Replicate = yes has no effect: it needs a secondary, and host names other than localhost",
  ];
}

function readFile(file: string, error: AuksErrorName): Uint8Array {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new AuksError(error, `${file} : ${systemText(cause)}`);
  }
}

/** The realms of names without one: krb5.conf's default realm. */
function realms(): string[] {
  try {
    using context = Context.open();
    return [context.defaultRealm];
  } catch (error) {
    if (error instanceof KerberosError) return [];
    throw error;
  }
}

/** A line of the log and its level. */
export type LogLine = readonly [level: number, text: string];

/** The original's log lines about a configuration. */
export function describeConfiguration(configuration: AuksdConfiguration): LogLine[] {
  const { file, config, role } = configuration;
  const { auksd } = config;
  const secondary: Server = config.secondary ??
    { host: "localhost", address: "localhost", port: "12345", principal: "" };
  const blocks = ["common", "auksd"].map((block): LogLine => [
    1,
    `auksd_engine: initializing engine from '${block}' block of file ${file}`,
  ]);
  const values = [
    ...describeServer("primary", config.primary, auksd.primaryKeytab),
    ...describeServer("secondary", secondary, auksd.secondaryKeytab),
    `cachedir is ${auksd.cacheDir}`,
    `logfile is ${auksd.logFile}`,
    `loglevel is ${auksd.logLevel}`,
    `debugfile is ${auksd.debugFile}`,
    `debuglevel is ${auksd.debugLevel}`,
    `threads number is ${auksd.workers}`,
    `incoming requests queue size is ${auksd.queueSize}`,
    `credential repository size is ${auksd.repoSize}`,
    `clean delay is ${auksd.cleanDelay}`,
    `NAT traversal mode is ${config.nat ? "enabled" : "disabled"}`,
    `kerberos replay cache is ${auksd.replayCache ? "enabled" : "disabled"}`,
  ];
  const acting = { primary: "primary", secondary: "secondary", "local primary": "local primary" };
  return [
    ...blocks,
    [2, `auksd_engine: engine ACL successfuly initialized using file ${auksd.aclFile}`],
    ...values.map((value): LogLine => [2, `auksd_engine: engine ${value}`]),
    [1, `auksd_engine: acting as a ${acting[role]} server`],
    [1, "auksd_engine: initialization succeed"],
  ];
}

function describeServer(
  which: string,
  { host, address, port, principal }: Server,
  keytab: string,
): string[] {
  return [
    `${which} daemon is '${host}'`,
    `${which} daemon address is '${address}'`,
    `${which} daemon port is ${port}`,
    `${which} daemon principal is ${principal}`,
    `${which} daemon keytab is ${keytab}`,
  ];
}

/** The original's log lines about an unusable configuration, by error. */
export function describeFailure(error: AuksError): LogLine[] {
  const detail = error.error === "CONFIG_PARSE"
    ? `unable to parse configuration file ${error.reason}`
    : error.error.startsWith("ACL_")
    ? `unable to init auksd engine ACL from file ${error.reason}`
    : `initialization failed${error.reason === undefined ? "" : `: ${error.reason}`}`;
  return [[1, `auksd_engine: ${detail}`], [1, `exiting : ${error.text}`]];
}
