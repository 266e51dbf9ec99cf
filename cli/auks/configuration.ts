// auks.conf for AUKS's commands: reads it, reports it on standard output with -v, and opens its log.
import {
  type AuksLog,
  type AuksLogTarget,
  createAuksLog,
  openLogFiles,
} from "../../daemon/process/auks_log.ts";
import type { LogConfig } from "../../lib/auks/config.ts";
import { AuksError } from "../../lib/auks/errors.ts";
import {
  type ClientConfiguration,
  configurationFile,
  readConfiguration,
} from "../../lib/auks_client/configuration.ts";
import { printError } from "../command_line/print.ts";

/** The command line's settings for configuration and log. */
export interface ConfigurationOptions {
  readonly config: string | undefined;
  readonly verbose: number;
  readonly debug: number;
}

/** The configuration, and the log of the block `api`. */
export interface OpenedConfiguration {
  readonly configuration: ClientConfiguration;
  readonly log: AuksLog;
}

/**
 * Reads auks.conf. Until then, -v and -d decide what is reported; afterwards, its own levels do.
 *
 * @throws {AuksError}
 */
export function openConfiguration(options: ConfigurationOptions): OpenedConfiguration {
  const { verbose, debug } = options;
  const target: AuksLogTarget = { kind: "descriptor", fd: 1 };
  const log = createAuksLog(target, { info: verbose, debug }, warn);
  const file = configurationFile(options.config);
  let configuration: ClientConfiguration;
  try {
    configuration = readConfiguration(file);
  } catch (error) {
    if (error instanceof AuksError && error.error === "CONFIG_PARSE") {
      log.info(2, `auks_engine: unable to parse configuration file ${error.reason}`);
    }
    throw error;
  }
  logBlocks(log, configuration);
  logConfiguration(log, configuration);
  const api = apiLog(configuration);
  for (const warning of configuration.config.warnings) {
    for (const each of [log, api]) each.info(1, `auks_engine: ${warning}`);
  }
  return { configuration, log: api };
}

function logBlocks(log: AuksLog, { file, hasRenewer }: ClientConfiguration): void {
  for (const block of hasRenewer ? ["common", "api", "renewer"] : ["common", "api"]) {
    log.info(2, `auks_engine: initializing engine from '${block}' block of file ${file}`);
  }
}

/** The values in the original's words; missing ones with the original's defaults. */
function logConfiguration(log: AuksLog, { config }: ClientConfiguration): void {
  const { primary, api, renewer } = config;
  const secondary = config.secondary ??
    { host: "localhost", address: "localhost", port: "12345", principal: "" };
  const daemons = ([["primary", primary], ["secondary", secondary]] as const)
    .flatMap(([which, { host, address, port, principal }]) => [
      `${which} daemon is '${host}'`,
      `${which} daemon address is '${address}'`,
      `${which} daemon port is ${port}`,
      `${which} daemon principal is ${principal}`,
    ]);
  const values = [
    ...daemons,
    `cross realm is ${config.crossRealm}`,
    ...logValues("", api),
    `retry number is ${config.retries}`,
    `timeout is ${config.timeout}`,
    `delay is ${config.delay}`,
    `NAT traversal mode is ${config.nat ? "enabled" : "disabled"}`,
    ...logValues("renewer_", renewer),
    `renewer delay is ${renewer.delay}`,
    `renewer min cred lifetime is ${renewer.minLifeTime}`,
    `syslog is ${api.useSyslog ? 1 : 0}`,
  ];
  for (const value of values) log.info(3, `auks_engine: engine ${value}`);
}

function logValues(prefix: string, config: LogConfig): string[] {
  return [
    `${prefix}logfile is ${config.logFile ?? ""}`,
    `${prefix}loglevel is ${config.logLevel}`,
    `${prefix}debugfile is ${config.debugFile ?? ""}`,
    `${prefix}debuglevel is ${config.debugLevel}`,
  ];
}

/** The log for the block `api`. */
function apiLog({ config: { api } }: ClientConfiguration): AuksLog {
  const levels = { info: api.logLevel, debug: api.debugLevel };
  return api.useSyslog
    ? createAuksLog({ kind: "syslog", program: "auks" }, levels, warn)
    : logTo(api);
}

/** A log to the files of a block. */
export function logTo(config: LogConfig): AuksLog {
  return openLogFiles(config, warn);
}

function warn(text: string): void {
  printError(`Warning: ${text}\n`);
}
