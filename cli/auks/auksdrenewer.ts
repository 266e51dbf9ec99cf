// auksdrenewer: renews auksd's tickets before they expire.
import { type AuksLog, createAuksLog } from "../../daemon/process/auks_log.ts";
import { enterBackground } from "../../daemon/process/background.ts";
import { AuksError, auksExitStatus } from "../../lib/auks/errors.ts";
import { clientSettings } from "../../lib/auks_client/configuration.ts";
import { addition, flag, parsed, text } from "../command_line/vocabulary.ts";
import { print, printError } from "../command_line/print.ts";
import { refuse, wholeNumber } from "../command_line/values.ts";
import { logTo, openConfiguration, type OpenedConfiguration } from "./configuration.ts";
import { type AuksUsage, DAEMON_OPTIONS, type DaemonSettings, parseAuksOptions } from "./usage.ts";

interface Settings extends DaemonSettings {
  logFile: string | undefined;
  metricsFile: string | undefined;
  parallel: number;
  rate: number;
  status: boolean;
}

/** The command line of auksdrenewer. */
export const USAGE: AuksUsage<Settings> = {
  synopsis: "[-h] [-dv] [-F] [-f conffile] [-l logfile]",
  layout: "daemon",
  groups: [
    [
      ...DAEMON_OPTIONS,
      text("-l, --log-file=logfile", "log file", "logFile"),
    ],
    [
      addition(
        parsed(
          "--parallel=number",
          "maximum renewals at a time (default: 8)",
          "parallel",
          (value) => parseCount(value, 64),
        ),
      ),
      addition(
        parsed(
          "--rate=number",
          "maximum renewals started per second (default: 50)",
          "rate",
          (value) => parseCount(value, 10_000),
        ),
      ),
      addition(text("--metrics-file=path", "keep Prometheus metrics in a file", "metricsFile")),
      addition(flag("--status", "list auksd's tickets, and what will happen to each", "status")),
    ],
  ],
};

function parseCount(value: string, most: number): number {
  const number = wholeNumber(value);
  if (number === undefined || number < 1n || number > BigInt(most)) {
    refuse(`Invalid number "${value}": 1 to ${most}`);
  }
  return Number(number);
}

/** Runs auksdrenewer. Returns the exit status. */
export async function run(program: string, args: readonly string[]): Promise<number> {
  const settings: Settings = {
    config: undefined,
    foreground: false,
    verbose: 0,
    debug: 0,
    logFile: undefined,
    metricsFile: undefined,
    parallel: 8,
    rate: 50,
    status: false,
  };
  parseAuksOptions(program, USAGE, settings, args);
  try {
    if (settings.status) return await printStatus(settings);
    return await renew(program, args, settings);
  } catch (error) {
    if (!(error instanceof AuksError)) throw error;
    if (settings.verbose > 0) {
      const log = createAuksLog({ kind: "descriptor", fd: 1 }, levelsOf(settings), () => {});
      log.info(1, `renewer: exiting : ${error.text}`);
    }
    printError(`${program}: ${error.message}\n`);
    return auksExitStatus(error.code);
  }
}

async function printStatus(settings: Settings): Promise<number> {
  const { configuration } = openConfiguration(settings);
  const { Context } = await import("../../lib/krb5/context.ts");
  const { dump } = await import("../../lib/auks_client/requests.ts");
  const { formatStatus } = await import("./renewer_status.ts");
  const credentials = await dump(Context.open(), clientSettings(configuration, undefined));
  const { minLifeTime } = configuration.config.renewer;
  print(formatStatus(credentials, minLifeTime, Date.now() / 1000));
  return 0;
}

async function renew(
  program: string,
  args: readonly string[],
  settings: Settings,
): Promise<number> {
  let opened = openConfiguration(settings);
  const { Context } = await import("../../lib/krb5/context.ts");
  const { renewUntilSignal } = await import("../../daemon/auksdrenewer/renewer.ts");
  const isBackground = !settings.foreground &&
    (settings.logFile !== undefined || (settings.verbose === 0 && settings.debug === 0));
  Context.open().close(); // reports problems with Kerberos while standard error is still open
  if (isBackground) enterBackground({ program, commandLine: args })();
  for (;;) {
    const { configuration } = opened;
    const { delay, minLifeTime } = configuration.config.renewer;
    const log = logOf(settings, opened);
    const ending = await renewUntilSignal({
      client: { ...clientSettings(configuration, undefined), isHostCache: true },
      limits: { delay: Math.max(1, delay), parallel: settings.parallel, perSecond: settings.rate },
      minLifeTime,
      log,
      metricsFile: settings.metricsFile,
    });
    if (ending === "stop") {
      log.info(1, "renewer: exiting");
      return 0;
    }
    opened = reload(settings, opened, log);
  }
}

/** The current configuration, or the old one if the current one is invalid. */
function reload(settings: Settings, old: OpenedConfiguration, log: AuksLog): OpenedConfiguration {
  try {
    return openConfiguration({ ...settings, verbose: 0, debug: 0 });
  } catch (error) {
    if (!(error instanceof AuksError)) throw error;
    log.info(1, `renewer: the old configuration stays in use : ${error.message}`);
    return old;
  }
}

const levelsOf = ({ verbose, debug }: Settings) => ({ info: verbose, debug });

/** The log's target, as in the original: -F overrides -l, and -v alone selects the clients' log. */
function logOf(settings: Settings, { configuration, log }: OpenedConfiguration): AuksLog {
  const { foreground, logFile, verbose, debug } = settings;
  const { renewer } = configuration.config;
  const levels = logFile !== undefined && (verbose > 0 || debug > 0)
    ? levelsOf(settings)
    : { info: renewer.logLevel, debug: renewer.debugLevel };
  if (foreground) return createAuksLog({ kind: "descriptor", fd: 2 }, levels, () => {});
  if (logFile !== undefined) {
    return logTo({
      logFile,
      debugFile: logFile,
      logLevel: levels.info,
      debugLevel: levels.debug,
    });
  }
  return verbose > 0 || debug > 0 ? log : logTo(renewer);
}
