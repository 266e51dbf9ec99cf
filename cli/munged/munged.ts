// munged's command line; a configuration file and the environment can also set its options. The daemon itself is in
// daemon/munged/main.ts.
import { statSync } from "node:fs";
import { dirname } from "node:path";
import {
  type DaemonConfig,
  defaultRealmDir,
  defaultReplayDir,
  DEFAULTS,
  type RealmScope,
} from "../../daemon/munged/config.ts";
import { limitedRealms, resolvePolicy } from "../../daemon/munged/policy/policy.ts";
import { DEFAULT_REALM } from "../../lib/credential/realm.ts";
import { isFipsMode } from "../../lib/os/fips.ts";
import { MungeError } from "../../lib/errors.ts";
import { parseOptions } from "../command_line/options.ts";
import { print } from "../command_line/print.ts";
import {
  applyEnvironment,
  applyFile,
  DEFAULT_CONFIG_FILE,
  formatSettings,
  type Sources,
} from "./config.ts";
import { USAGE } from "./options.ts";
import type { MungedOption, Settings } from "./settings.ts";

/**
 * Runs munged.
 *
 * @param program base name of argv[0].
 * @param args the words after it.
 * @param prepare checks and completes the configuration before the daemon runs with it; it also gets the source of each
 * setting.
 * @returns the exit status.
 * @throws {MungeError} for a mistake on the command line.
 */
export async function run(
  program: string,
  args: readonly string[],
  prepare: (config: DaemonConfig, sources: Sources) => DaemonConfig = (config) => config,
): Promise<number> {
  const { settings, sources } = parseSettings(program, args, process.env);
  if (settings.task === "check-config") {
    print(formatSettings(USAGE.groups.flat(), settings, sources));
    return 0;
  }
  if (settings.task === "status") {
    const { printStatus } = await import("./status.ts");
    printStatus(settings.socketPath, settings.json);
    return 0;
  }
  const { runDaemon } = await import("../../daemon/munged/main.ts");
  return await runDaemon(prepare(daemonConfig(settings), sources));
}

/**
 * The settings from a command line, the environment and the configuration file.
 *
 * @param uid that the daemon has or will have; by default this process's.
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
 * The settings from a command line alone, without the environment and the configuration file.
 *
 * @throws {MungeError} for the first mistake.
 */
export function parseArguments(program: string, args: readonly string[]): DaemonConfig {
  return daemonConfig(parseSettings(program, args, null).settings);
}

/** @param environment null to use neither the environment nor a configuration file. */
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
    task: "serve",
    configFile: undefined,
    json: false,
  });
  // The first pass finds the configuration file, and reports mistakes on the command line before those in the file.
  const { configFile, task, stop } = parseCommandLine(program, args, fresh(), new Map());
  const settings = fresh();
  const sources: Sources = new Map();
  const options = USAGE.groups.flat();
  if (environment !== null) {
    const serves = task === "serve" && !stop;
    const reader = uid ?? configUid(configFile ?? DEFAULT_CONFIG_FILE, serves);
    applyFile(options, settings, sources, configFile, reader);
    applyEnvironment(options, settings, sources, environment);
  }
  parseCommandLine(program, args, settings, sources);
  if (settings.replayDir === undefined) settings.replayDir = defaultReplayDir(settings.seedFile);
  if (!sources.has("realm-dir")) settings.realmDir = defaultRealmDir(settings.keyFile);
  // A munged can be stopped even if its policy makes no sense.
  if (environment !== null && !stop && task !== "status") {
    settings.fips = isFipsMode();
    if (settings.fips && !sources.has("security")) sources.set("security", "FIPS mode");
    for (const realm of [DEFAULT_REALM, ...limitedRealms(settings)]) resolvePolicy(settings, realm);
    if (settings.replayStore === null && settings.replayScopes.some(isRealmWide)) {
      throw new MungeError("EMUNGE_SNAFU", "replay-scope=realm needs a replay-store");
    }
  }
  return { settings, sources };
}

function isRealmWide({ scope }: RealmScope): boolean {
  return scope === "realm";
}

/** The user for whom a configuration file is checked; root can inspect and stop a daemon that it would not run itself. */
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
  const groups = USAGE.groups.map((group) =>
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
  const { task: _task, configFile: _file, json: _json, replayDir = null, ...config } = settings;
  return { ...config, replayDir };
}
