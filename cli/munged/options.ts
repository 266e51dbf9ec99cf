// munged's options: one table for its command line, configuration file, environment variables, --help and manual page.
// munged.ts uses the settings.
import {
  DEFAULTS,
  REPLAY_SCOPES,
  resolvePath,
  STORE_POLICIES,
} from "../../daemon/munged/config.ts";
import { LOG_FORMATS } from "../../daemon/process/log_format.ts";
import { LARGEST_PAYLOAD_LENGTH, MAX_PAYLOAD_LENGTH } from "../../lib/credential/fields.ts";
import { INFORMATION_OPTIONS, type Usage } from "../command_line/options.ts";
import { INT_MAX } from "../command_line/values.ts";
import { addition, choice, option, parsed, text } from "../command_line/vocabulary.ts";
import { DEFAULT_CONFIG_FILE } from "./config.ts";
import { POLICY_OPTIONS } from "./policy_options.ts";
import { formatWho, parseWho, splitRealm } from "./realm_values.ts";
import type { MungedOption, Settings } from "./settings.ts";
import { formatStore, MAX_REPLICAS, MAX_STORE_TIMEOUT_MS, parseStore } from "./store_values.ts";
import {
  flag,
  group,
  integer,
  number,
  once,
  oneOf,
  path,
  seconds,
  shown,
  size,
  task,
  word,
} from "./vocabulary.ts";

const MAX_INT = Number(INT_MAX);
const MIN_INT = -MAX_INT - 1;
const MAX_LONG = 2 ** 63;

const OPTIONS: readonly (readonly MungedOption[])[] = [
  INFORMATION_OPTIONS,
  [
    flag("-f, --force", "Force daemon to run if possible", "force"),
    flag("-F, --foreground", "Run daemon in the foreground (do not fork)", "foreground"),
    flag("-M, --mlockall", "Lock pages into memory", "mlockall"),
    once(choice("-s, --stop", "Stop daemon bound to socket", "stop", true)),
    path("-S, --socket=PATH", `Specify local socket [${DEFAULTS.socketPath}]`, "socketPath"),
    flag("-v, --verbose", "Be verbose", "verbose"),
  ],
  [
    flag("--benchmark", "Disable timers to reduce noise while benchmarking", "benchmark"),
    shown(
      parsed(
        "--group-check-mtime=BOOL",
        'Specify whether to check "/etc/group" mtime [1]',
        "groupCheckMtime",
        (value) => integer("group-check-mtime", value, -MAX_LONG, MAX_LONG) !== 0,
      ),
      ({ groupCheckMtime }) => [groupCheckMtime ? "1" : "0"],
    ),
    number("--group-update-time=SECS", "Specify seconds between group info updates", {
      key: "groupUpdateTime",
      min: MIN_INT,
      max: MAX_INT,
    }),
    path("--key-file=PATH", `Specify key file [${DEFAULTS.keyFile}]`, "keyFile"),
    number("--listen-backlog=INT", "Specify listen backlog limit of socket", {
      key: "listenBacklog",
      min: -1,
      max: MAX_INT,
    }),
    path("--log-file=PATH", `Specify log file [${DEFAULTS.logFile}]`, "logFile"),
    addition(size(
      "--max-payload=SIZE",
      `Specify maximum payload length (in bytes) [${DEFAULTS.maxPayload}]`,
      { key: "maxPayload", min: MAX_PAYLOAD_LENGTH, max: LARGEST_PAYLOAD_LENGTH },
    )),
    number("--max-ttl=SECS", "Specify maximum time-to-live (in seconds)", {
      key: "maxTtl",
      min: 1,
      max: 3600,
    }),
    {
      ...addition(
        choice(
          "--no-replay-dir",
          "Keep the replay cache in memory only",
          "replayDir",
          null,
        ),
      ),
      clear: (settings) => {
        settings.replayDir = undefined;
      },
      show: ({ replayDir }) => [replayDir === null ? "yes" : "no"],
    },
    number("--num-threads=INT", "Specify number of threads to spawn", {
      key: "numThreads",
      min: 1,
      max: MAX_INT,
    }),
    shown(
      text(
        "--origin=ADDR",
        "Specify origin address via hostname/IPaddr/interface",
        "origin",
      ),
      ({ origin }) => origin === null ? [] : [origin],
    ),
    path("--pid-file=PATH", `Specify PID file [${DEFAULTS.pidFile}]`, "pidFile"),
    addition(
      path(
        "--replay-dir=PATH",
        `Specify replay cache directory [${DEFAULTS.replayDir}]`,
        "replayDir",
      ),
    ),
    addition(shown(
      option(
        "--replay-scope=[NAME=]SCOPE",
        `Refuse replays per ${REPLAY_SCOPES.join(" or ")} (repeatable) [realm with a store]`,
        addScope,
      ),
      ({ replayScopes }) =>
        replayScopes.map(({ realm, scope }) => realm === null ? scope : `${realm}=${scope}`),
    )),
    addition(shown(
      parsed(
        "--replay-store=URL[,URL]",
        "Specify Valkey or Redis store to refuse replays in the whole realm",
        "replayStore",
        parseStore,
      ),
      ({ replayStore }) => replayStore === null ? [] : [formatStore(replayStore)],
    )),
    addition(
      path(
        "--replay-store-ca-file=PATH",
        "Specify file of CAs that sign the store's certificate",
        "replayStoreCaFile",
      ),
    ),
    addition(
      path(
        "--replay-store-password-file=PATH",
        "Specify file with the store's password",
        "replayStorePasswordFile",
      ),
    ),
    addition(word(
      "--replay-store-policy=POLICY",
      "Specify policy if the store is unavailable",
      "replayStorePolicy",
      STORE_POLICIES,
    )),
    addition(
      number("--replay-store-replicas=INT", "Specify replicas that must confirm each decode", {
        key: "replayStoreReplicas",
        min: 0,
        max: MAX_REPLICAS,
      }),
    ),
    addition(
      number("--replay-store-timeout=MS", "Specify milliseconds to wait for the store", {
        key: "replayStoreTimeout",
        min: 100,
        max: MAX_STORE_TIMEOUT_MS,
      }),
    ),
    addition(
      number(
        "--replay-sync=MS",
        "Specify milliseconds until a decode is on disk",
        { key: "replaySync", min: 0, max: MAX_INT },
      ),
    ),
    path("--seed-file=PATH", `Specify PRNG seed file [${DEFAULTS.seedFile}]`, "seedFile"),
    flag("--syslog", "Redirect log messages to syslog", "syslog"),
    shown(
      parsed(
        "--trusted-group=GID",
        "Specify trusted group/GID for directory checks",
        "trustedGroup",
        (value) => group("trusted-group", value),
      ),
      ({ trustedGroup }) => trustedGroup === null ? [] : [`${trustedGroup}`],
    ),
  ],
  [
    addition(
      flag("--allow-overflow-id", "Serve clients with unmapped users or groups", "allowOverflowId"),
    ),
    task("check-config", "Display the settings in force and their sources"),
    addition(once(parsed(
      "--config=PATH",
      `Specify configuration file [${DEFAULT_CONFIG_FILE}]`,
      "configFile",
      (value) => resolvePath(value),
    ))),
    addition(once(choice("--json", "Display the status as JSON", "json", true))),
    {
      ...seconds(
        "--key-rotation-time=SECS",
        "Specify how long a retired key decodes [max TTL + drift]",
        {
          key: "keyRotationTime",
          max: MAX_INT,
        },
      ),
      variable: "MUNGE_KEY_ROTATION_SECONDS",
    },
    addition(word("--log-format=FORMAT", "Specify log format", "logFormat", LOG_FORMATS)),
    addition(
      path("--metrics-file=PATH", "Write metrics for Prometheus to this file", "metricsFile"),
    ),
    addition(shown(
      option(
        "--realm=NAME=PATH",
        "Serve a realm with its own key (repeatable)",
        addRealm,
      ),
      ({ realms }) => realms.map(({ name, keyFile }) => `${name}=${keyFile}`),
    )),
    addition(shown(
      option(
        "--realm-allow=NAME=WHO",
        "Restrict a realm to user:U,group:G,... (repeatable)",
        allowRealm,
      ),
      ({ realmAllow }) => realmAllow.map(({ realm, ...who }) => `${realm}=${formatWho(who)}`),
    )),
    addition(
      path(
        "--realm-dir=PATH",
        `Serve a realm per NAME.key here [${DEFAULTS.realmDir}]`,
        "realmDir",
      ),
    ),
    addition(once(
      choice("--replace", "Take the place of the daemon bound to socket", "replace", true),
    )),
    task("status", "Display the status of the daemon bound to socket"),
    {
      ...seconds("--timestamp-drift-max=SECS", "Specify how far clocks may differ (in seconds)", {
        key: "timestampDriftMax",
        max: 3600,
      }),
      variable: "MUNGE_TIMESTAMP_DRIFT_MAX",
    },
    {
      ...addition(number("--ttl=SECS", "Specify default time-to-live (in seconds)", {
        key: "defaultTtl",
        min: 1,
        max: 3600,
      })),
      variable: "MUNGE_TTL",
    },
  ],
  POLICY_OPTIONS,
];

/** The command line of munged. */
export const USAGE: Usage<Settings> & { readonly groups: typeof OPTIONS } = { groups: OPTIONS };

function addScope(settings: Settings, value: string): void {
  const [realm, name] = value.includes("=") ? splitRealm("replay-scope", value) : [null, value];
  const scope = oneOf("replay-scope", value, REPLAY_SCOPES, name);
  const others = settings.replayScopes.filter((each) => each.realm !== realm);
  settings.replayScopes = [...others, { realm, scope }];
}

function addRealm(settings: Settings, value: string): void {
  const [name, path] = splitRealm("realm", value);
  const others = settings.realms.filter((realm) => realm.name !== name);
  settings.realms = [...others, { name, keyFile: resolvePath(path) }];
}

function allowRealm(settings: Settings, value: string): void {
  const [realm, who] = splitRealm("realm-allow", value);
  settings.realmAllow = [...settings.realmAllow, { realm, ...parseWho("realm-allow", value, who) }];
}
