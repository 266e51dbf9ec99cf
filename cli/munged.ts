// The command line of munged; what the daemon then does is in daemon/main.ts.
import { MungeError } from "../lib/errors.ts";
import { type DaemonConfig, defaultReplayDir, DEFAULTS, resolvePath } from "../daemon/config.ts";
import { INFORMATION_OPTIONS, type Option, parseOptions, type Usage } from "./options.ts";
import { INT_MAX, parseGroup, wholeNumber } from "./values.ts";

/** `replayDir` is undefined as long as no option has named or refused one. */
type Settings = Omit<DaemonConfig, "replayDir"> & { replayDir: string | null | undefined };

const MAX_INT = Number(INT_MAX);
const MIN_INT = -MAX_INT - 1;

const OPTIONS: readonly (readonly Option<Settings>[])[] = [
  INFORMATION_OPTIONS,
  [
    flag("force", "Force daemon to run if possible", "f", "force"),
    flag("foreground", "Run daemon in the foreground (do not fork)", "F", "foreground"),
    flag("mlockall", "Lock pages into memory", "M", "mlockall"),
    flag("stop", "Stop daemon bound to socket", "s", "stop"),
    path("socket", `Specify local socket [${DEFAULTS.socketPath}]`, "socketPath", "S"),
    flag("verbose", "Be verbose", "v", "verbose"),
  ],
  [
    flag("benchmark", "Disable timers to reduce noise while benchmarking", undefined, "benchmark"),
    {
      long: "group-check-mtime",
      argument: "BOOL",
      help: 'Specify whether to check "/etc/group" mtime [1]',
      set: (settings, value) => {
        settings.groupCheckMtime = integer("group-check-mtime", value, MIN_INT, MAX_INT) !== 0;
      },
    },
    number("group-update-time", "SECS", "Specify seconds between group info updates", {
      key: "groupUpdateTime",
      min: MIN_INT,
      max: MAX_INT,
    }),
    path("key-file", `Specify key file [${DEFAULTS.keyFile}]`, "keyFile"),
    number("listen-backlog", "INT", "Specify listen backlog for socket (0=dfl -1=max)", {
      key: "listenBacklog",
      min: -1,
      max: MAX_INT,
    }),
    path("log-file", `Specify log file [${DEFAULTS.logFile}]`, "logFile"),
    number("max-ttl", "SECS", "Specify maximum time-to-live (in seconds)", {
      key: "maxTtl",
      min: 1,
      max: 3600,
    }),
    {
      long: "no-replay-dir",
      help: "Keep the replay cache in memory only",
      set: (settings) => {
        settings.replayDir = null;
      },
    },
    number("num-threads", "INT", "Specify number of threads to spawn", {
      key: "numThreads",
      min: 1,
      max: MAX_INT,
    }),
    {
      long: "origin",
      argument: "ADDR",
      help: "Specify origin address via hostname/IPaddr/interface",
      set: (settings, value) => {
        settings.origin = value;
      },
    },
    path("pid-file", `Specify PID file [${DEFAULTS.pidFile}]`, "pidFile"),
    path("replay-dir", `Specify replay cache directory [${DEFAULTS.replayDir}]`, "replayDir"),
    path("seed-file", `Specify PRNG seed file [${DEFAULTS.seedFile}]`, "seedFile"),
    flag("syslog", "Redirect log messages to syslog", undefined, "syslog"),
    {
      long: "trusted-group",
      argument: "GID",
      help: "Specify trusted group/GID for directory checks",
      set: (settings, value) => {
        settings.trustedGroup = group("trusted-group", value);
      },
    },
  ],
];

/** The command line of munged, for --help and the manual page. */
export const USAGE: Usage<Settings> = { groups: OPTIONS };

/**
 * Runs munged.
 *
 * @param program base name of argv[0].
 * @param args the words after it.
 * @returns the exit status.
 * @throws {MungeError} for a mistake on the command line.
 */
export async function munged(program: string, args: readonly string[]): Promise<number> {
  const config = parseConfig(program, args);
  const { runDaemon } = await import("../daemon/main.ts");
  return await runDaemon(config);
}

/** The configuration that a command line asks for. @throws {MungeError} for its first mistake. */
export function parseConfig(program: string, args: readonly string[]): DaemonConfig {
  const settings: Settings = { ...DEFAULTS, program, commandLine: args, replayDir: undefined };
  parseOptions(program, USAGE, settings, args);
  const { replayDir = defaultReplayDir(settings.seedFile) } = settings;
  return { ...settings, replayDir };
}

/** The keys of `Settings` with a value of type `T`. */
type KeyOf<T> = {
  [K in keyof Settings]: T extends Settings[K] ? K : never;
}[keyof Settings];

function flag(
  long: string,
  help: string,
  short: string | undefined,
  key: Exclude<KeyOf<true>, undefined>,
): Option<Settings> {
  return {
    ...(short === undefined ? {} : { short }),
    long,
    help,
    set: (settings) => {
      settings[key] = true;
    },
  };
}

function path(
  long: string,
  help: string,
  key: Exclude<KeyOf<string>, "program" | "origin" | undefined>,
  short?: string,
): Option<Settings> {
  return {
    ...(short === undefined ? {} : { short }),
    long,
    argument: "PATH",
    help,
    set: (settings, value) => {
      settings[key] = resolvePath(value);
    },
  };
}

function number(
  long: string,
  argument: string,
  help: string,
  { key, min, max }: {
    key: "maxTtl" | "numThreads" | "listenBacklog" | "groupUpdateTime";
    min: number;
    max: number;
  },
): Option<Settings> {
  return {
    long,
    argument,
    help: `${help} [${DEFAULTS[key]}]`,
    set: (settings, value) => {
      settings[key] = integer(long, value, min, max);
    },
  };
}

/** The number that strtol finds in the whole of `value`. */
function integer(option: string, value: string, min: number, max: number): number {
  const result = wholeNumber(value);
  if (result === undefined || result < min || result > max) throw invalid(option, value);
  return Number(result);
}

/** A group's GID by its name or number. */
function group(option: string, value: string): number {
  try {
    return parseGroup(value);
  } catch (error) {
    throw invalid(option, value, error);
  }
}

function invalid(option: string, value: string, cause?: unknown): MungeError {
  return new MungeError("EMUNGE_SNAFU", `Invalid value "${value}" for ${option}`, { cause });
}
