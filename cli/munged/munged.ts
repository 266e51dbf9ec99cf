// The command line of munged, whose options a configuration file and the environment may set, too; what the
// daemon then does is in daemon/munged/main.ts.
import { statSync } from "node:fs";
import { dirname } from "node:path";
import { MungeError } from "../../lib/errors.ts";
import { isRealmName } from "../../lib/credential/realm.ts";
import {
  type DaemonConfig,
  defaultRealmDir,
  defaultReplayDir,
  DEFAULTS,
  resolvePath,
} from "../../daemon/munged/config.ts";
import { LOG_FORMATS } from "../../daemon/process/log_format.ts";
import {
  applyEnvironment,
  applyFile,
  type ConfigOption,
  DEFAULT_CONFIG_FILE,
  formatSettings,
  type Sources,
} from "./config.ts";
import { INFORMATION_OPTIONS, parseOptions, type Usage } from "../command_line/options.ts";
import { print } from "../command_line/print.ts";
import { INT_MAX, parseGroup, parseUser, wholeNumber } from "../command_line/values.ts";

/** What munged is to do instead of serving. */
type Deed = "serve" | "check-config" | "status";

/** `replayDir` is undefined as long as no option has named or refused one. */
type Settings = Omit<DaemonConfig, "replayDir"> & {
  replayDir: string | null | undefined;
  deed: Deed;
  /** Undefined for the default one, which may be missing. */
  configFile: string | undefined;
  /** Whether the status is told as JSON. */
  json: boolean;
};

/** An option as the table below has it. */
type MungedOption = ConfigOption<Settings>;

const MAX_INT = Number(INT_MAX);
const MIN_INT = -MAX_INT - 1;
const MAX_LONG = 2 ** 63;

const OPTIONS: readonly (readonly MungedOption[])[] = [
  INFORMATION_OPTIONS,
  [
    flag("force", "Force daemon to run if possible", "f", "force"),
    flag("foreground", "Run daemon in the foreground (do not fork)", "F", "foreground"),
    flag("mlockall", "Lock pages into memory", "M", "mlockall"),
    { ...flag("stop", "Stop daemon bound to socket", "s", "stop"), once: true },
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
        settings.groupCheckMtime = integer("group-check-mtime", value, -MAX_LONG, MAX_LONG) !== 0;
      },
      show: ({ groupCheckMtime }) => [groupCheckMtime ? "1" : "0"],
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
      addition: true,
      help: "Keep the replay cache in memory only",
      set: (settings) => {
        settings.replayDir = null;
      },
      clear: (settings) => {
        settings.replayDir = undefined;
      },
      show: ({ replayDir }) => [replayDir === null ? "yes" : "no"],
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
      show: ({ origin }) => origin === null ? [] : [origin],
    },
    path("pid-file", `Specify PID file [${DEFAULTS.pidFile}]`, "pidFile"),
    addition(
      path("replay-dir", `Specify replay cache directory [${DEFAULTS.replayDir}]`, "replayDir"),
    ),
    path("seed-file", `Specify PRNG seed file [${DEFAULTS.seedFile}]`, "seedFile"),
    flag("syslog", "Redirect log messages to syslog", undefined, "syslog"),
    {
      long: "trusted-group",
      argument: "GID",
      help: "Specify trusted group/GID for directory checks",
      set: (settings, value) => {
        settings.trustedGroup = group("trusted-group", value);
      },
      show: ({ trustedGroup }) => trustedGroup === null ? [] : [`${trustedGroup}`],
    },
  ],
  [
    {
      long: "check-config",
      addition: true,
      once: true,
      help: "Display what is in force, and where it is from",
      set: (settings) => {
        settings.deed = "check-config";
      },
    },
    {
      long: "config",
      argument: "PATH",
      addition: true,
      once: true,
      help: `Specify configuration file [${DEFAULT_CONFIG_FILE}]`,
      set: (settings, value) => {
        settings.configFile = resolvePath(value);
      },
    },
    {
      long: "json",
      addition: true,
      once: true,
      help: "Display the status as JSON",
      set: (settings) => {
        settings.json = true;
      },
    },
    {
      ...seconds("key-rotation-time", "Specify how long a retired key decodes [max TTL]", {
        key: "keyRotationTime",
        max: MAX_INT,
      }),
      variable: "MUNGE_KEY_ROTATION_SECONDS",
    },
    {
      long: "log-format",
      argument: "FORMAT",
      addition: true,
      help: `Specify how log lines look: ${LOG_FORMATS.join(" or ")} [${DEFAULTS.logFormat}]`,
      set: (settings, value) => {
        const format = LOG_FORMATS.find((name) => name === value);
        if (format === undefined) throw invalid("log-format", value);
        settings.logFormat = format;
      },
      show: ({ logFormat }) => [logFormat],
    },
    addition(path("metrics-file", "Keep metrics for Prometheus in this file", "metricsFile")),
    {
      long: "realm",
      argument: "NAME=PATH",
      addition: true,
      help: "Serve a realm with its own key file; repeatable",
      set: (settings, value) => {
        const [name, path] = splitRealm("realm", value);
        const others = settings.realms.filter((realm) => realm.name !== name);
        settings.realms = [...others, { name, keyFile: resolvePath(path) }];
      },
      show: ({ realms }) => realms.map(({ name, keyFile }) => `${name}=${keyFile}`),
    },
    {
      long: "realm-allow",
      argument: "NAME=WHO",
      addition: true,
      help: "Limit a realm: user:U,group:G,...; repeatable",
      set: (settings, value) => {
        const [realm, who] = splitRealm("realm-allow", value);
        settings.realmAllow = [...settings.realmAllow, { realm, ...parseWho(value, who) }];
      },
      show: ({ realmAllow }) =>
        realmAllow.map(({ realm, uids, gids }) => {
          const who = [...uids.map((uid) => `user:${uid}`), ...gids.map((gid) => `group:${gid}`)];
          return `${realm}=${who.join(",")}`;
        }),
    },
    addition(
      path("realm-dir", `Serve NAME.key in this directory [${DEFAULTS.realmDir}]`, "realmDir"),
    ),
    {
      long: "status",
      addition: true,
      once: true,
      help: "Display how the daemon bound to socket is",
      set: (settings) => {
        settings.deed = "status";
      },
    },
    seconds("timestamp-drift-max", "Specify how far clocks may differ", {
      key: "timestampDriftMax",
      max: 3600,
    }),
    addition(number("ttl", "SECS", "Specify default time-to-live (in seconds)", {
      key: "defaultTtl",
      min: 1,
      max: 3600,
    })),
  ],
];

/** The command line of munged, for --help and the manual page. */
export const USAGE: Usage<Settings> & { readonly groups: typeof OPTIONS } = { groups: OPTIONS };

/**
 * Runs munged.
 *
 * @param program base name of argv[0].
 * @param args the words after it.
 * @returns the exit status.
 * @throws {MungeError} for a mistake on the command line.
 */
export async function run(program: string, args: readonly string[]): Promise<number> {
  const { settings, sources } = parseSettings(program, args, process.env);
  if (settings.deed === "check-config") {
    print(formatSettings(OPTIONS.flat(), settings, sources));
    return 0;
  }
  if (settings.deed === "status") {
    const { printStatus } = await import("./status.ts");
    printStatus(settings.socketPath, settings.json);
    return 0;
  }
  const { runDaemon } = await import("../../daemon/munged/main.ts");
  return await runDaemon(daemonConfig(settings));
}

/**
 * The configuration that a command line asks for, with what the environment and the configuration file say.
 *
 * @param uid that the daemon has or will have; this process's unless given.
 * @throws {MungeError} for the first mistake.
 */
export function parseConfig(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = process.env,
  uid?: number,
): DaemonConfig {
  return daemonConfig(parseSettings(program, args, environment, uid).settings);
}

/**
 * The configuration that a command line alone asks for, whatever environment and configuration file say.
 *
 * @throws {MungeError} for the first mistake.
 */
export function parseArguments(program: string, args: readonly string[]): DaemonConfig {
  return daemonConfig(parseSettings(program, args, null).settings);
}

/** @param environment null for neither the environment nor a configuration file. */
function parseSettings(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>> | null,
  uid?: number,
): { settings: Settings; sources: Sources } {
  const fresh = (): Settings => ({
    ...DEFAULTS,
    program,
    commandLine: args,
    replayDir: undefined,
    deed: "serve",
    configFile: undefined,
    json: false,
  });
  // The first reading finds the configuration file, and any mistake on the command line before one in it.
  const { configFile, deed, stop } = parseCommandLine(program, args, fresh(), new Map());
  const settings = fresh();
  const sources: Sources = new Map();
  const options = OPTIONS.flat();
  if (environment !== null) {
    const serves = deed === "serve" && !stop;
    const reader = uid ?? configUid(configFile ?? DEFAULT_CONFIG_FILE, serves);
    applyFile(options, settings, sources, configFile, reader);
    applyEnvironment(options, settings, sources, environment);
  }
  parseCommandLine(program, args, settings, sources);
  if (settings.replayDir === undefined) settings.replayDir = defaultReplayDir(settings.seedFile);
  if (!sources.has("realm-dir")) settings.realmDir = defaultRealmDir(settings.keyFile);
  return { settings, sources };
}

/** Whom a configuration file is checked for: root may look at and stop what it would not run itself. */
function configUid(path: string, serves: boolean): number {
  const uid = process.geteuid!();
  if (uid !== 0 || serves) return uid;
  return statSync(dirname(path), { throwIfNoEntry: false })?.uid ?? uid;
}

function parseCommandLine(
  program: string,
  args: readonly string[],
  settings: Settings,
  sources: Sources,
): Settings {
  const groups = OPTIONS.map((group) =>
    group.map((option): MungedOption => ({
      ...option,
      set(settings, value, invocation) {
        option.set(settings, value, invocation);
        sources.set(option.long, "command line");
      },
    }))
  );
  parseOptions(program, { ...USAGE, groups }, settings, args);
  return settings;
}

function daemonConfig(settings: Settings): DaemonConfig {
  const { deed: _deed, configFile: _file, json: _json, replayDir = null, ...config } = settings;
  return { ...config, replayDir };
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
): MungedOption {
  return {
    ...(short === undefined ? {} : { short }),
    long,
    help,
    set: (settings) => {
      settings[key] = true;
    },
    clear: (settings) => {
      settings[key] = false;
    },
    show: (settings) => [settings[key] ? "yes" : "no"],
  };
}

function path(
  long: string,
  help: string,
  key: Exclude<KeyOf<string>, "program" | "origin" | "configFile" | undefined>,
  short?: string,
): MungedOption {
  return {
    ...(short === undefined ? {} : { short }),
    long,
    argument: "PATH",
    help,
    set: (settings, value) => {
      settings[key] = resolvePath(value);
    },
    show: (settings) => typeof settings[key] === "string" ? [settings[key]] : [],
  };
}

function number(
  long: string,
  argument: string,
  help: string,
  { key, min, max }: {
    key: "maxTtl" | "defaultTtl" | "numThreads" | "listenBacklog" | "groupUpdateTime";
    min: number;
    max: number;
  },
): MungedOption {
  return {
    long,
    argument,
    help: `${help} [${DEFAULTS[key]}]`,
    set: (settings, value) => {
      settings[key] = integer(long, value, min, max);
    },
    show: (settings) => [`${settings[key]}`],
  };
}

/** Seconds from 0 on, with a default that is no number. */
function seconds(
  long: string,
  help: string,
  { key, max }: { key: "keyRotationTime" | "timestampDriftMax"; max: number },
): MungedOption {
  return {
    long,
    argument: "SECS",
    addition: true,
    help,
    set: (settings, value) => {
      settings[key] = integer(long, value, 0, max);
    },
    show: (settings) => settings[key] === null ? [] : [`${settings[key]}`],
  };
}

/** An option of ours, which the reference has not. */
function addition(option: MungedOption): MungedOption {
  return { ...option, addition: true };
}

/** `NAME=REST` of a realm. */
function splitRealm(option: string, value: string): [name: string, rest: string] {
  const at = value.indexOf("=");
  const name = value.slice(0, Math.max(at, 0));
  if (!isRealmName(name) || at === value.length - 1) throw invalid(option, value);
  return [name, value.slice(at + 1)];
}

/** `user:U,group:G,...` with names or numbers. */
function parseWho(value: string, who: string): { uids: number[]; gids: number[] } {
  const uids: number[] = [];
  const gids: number[] = [];
  for (const word of who.split(",")) {
    const [, kind, name = ""] = /^(user|group):(.+)$/.exec(word) ?? [];
    try {
      if (kind === "user") uids.push(parseUser(name));
      else if (kind === "group") gids.push(parseGroup(name));
      else throw new Error(`"${word}" is neither user: nor group:`);
    } catch (error) {
      throw invalid("realm-allow", value, error);
    }
  }
  return { uids, gids };
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
