// The checks of mungebox doctor on its own node: one table, causes before effects, so that the first of the
// worst findings is the cause of the others. Checks of other hosts are in hosts.ts.
import { lstatSync, readFileSync, statfsSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { spawnSync } from "node:child_process";
import { checkFile, type TrustedFile } from "../../lib/files/security.ts";
import { lockFileBreach, lockPath } from "../../daemon/process/lock_file.ts";
import { isClockSynchronized } from "../../lib/os/clock.ts";
import { lookUpHost } from "../../lib/os/hosts.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { userById } from "../../lib/os/users.ts";
import { VERSION_LINE } from "../../lib/version.ts";
import { explain, quote } from "./causes.ts";
import { type Finding, note, ok, problem, skipped, warning } from "./finding.ts";
import type { Holder, Node } from "./node.ts";

/** One check. */
export interface Check {
  readonly name: string;
  /** Its findings; none where there is nothing to check. */
  examine(node: Node): readonly Finding[];
}

/** Seconds between two clocks that are suspicious but still harmless, and that cause failures. */
const CLOCK_WARNING = 5;
export const CLOCK_PROBLEM = 60;
/** Free bytes that are too few for munged's files, and that soon may be. */
const DISK_PROBLEM = 1 << 20;
const DISK_WARNING = 4 << 20;
const SLOW_MS = 1000;
const LOG_TAIL = 65_536;
const AS_ROOT = "run doctor as root";

/** All checks. */
export const CHECKS: readonly Check[] = [
  { name: "configuration", examine: configuration },
  { name: "user", examine: user },
  { name: "key", examine: key },
  { name: "files", examine: files },
  { name: "socket directory", examine: socketDirectory },
  { name: "disk space", examine: diskSpace },
  { name: "lock", examine: lock },
  { name: "socket", examine: socket },
  { name: "round trip", examine: roundTrip },
  { name: "key in force", examine: keyInForce },
  { name: "munged's clock", examine: daemonClock },
  { name: "clock", examine: clock },
  { name: "name service", examine: nameService },
  { name: "version", examine: version },
  { name: "log", examine: log },
];

function configuration(node: Node): Finding[] {
  const { configFailure } = node;
  return [
    configFailure === undefined
      ? ok("munged accepts its configuration")
      : explained(problem, configFailure, node),
  ];
}

function user({ uid, user, lock }: Node): Finding[] {
  if (uid === undefined) {
    return [problem(`There is no user "${user}" to run munged as`, `useradd --system ${user}`)];
  }
  if (userById(uid) === undefined) {
    return [
      problem(
        `munged's user, UID ${uid}, is unknown to the name service`,
        `useradd --system --uid ${uid} munge`,
      ),
    ];
  }
  return [ok(`munged ${lock.state === "held" ? "runs" : "would run"} as ${user} (${uid})`)];
}

function key(node: Node): Finding[] {
  const { key, keyFile } = node;
  if (key.state === "hidden") {
    return [skipped(`You may not read the key "${keyFile}", which is as it should be: ${AS_ROOT}`)];
  }
  if (key.breaches.length > 0) return key.breaches.map((text) => explained(problem, text, node));
  return key.state === "read" ? [ok(`"${keyFile}" has fingerprint ${key.fingerprint}`)] : [];
}

/** A message of munged as a finding, with its fix. */
function explained(make: typeof problem, text: string, node: Node): Finding {
  return make(text, explain(text, node)?.fix);
}

function files(node: Node): Finding[] {
  const { config, exchange, lock, seesAll } = node;
  const paths: [TrustedFile, string][] = [["seed", config.seedFile], ["pid", config.pidFile]];
  if (!config.foreground && !config.syslog) paths.unshift(["log", config.logFile]);
  // Only its command line says where a running daemon has its files.
  if (exchange.state === "answered" && lock.state !== "held") return [];
  const make = exchange.state === "answered" ? warning : problem;
  const findings: Finding[] = [];
  for (const [kind, path] of paths) {
    for (const text of breaches(kind, path, node)) {
      if (!seesAll && text.includes("Permission denied")) continue;
      findings.push(explained(make, text, node));
    }
  }
  return findings.length > 0
    ? findings
    : [ok("Log, seed and PID file are where only munged can write")];
}

/** What munged would object to in a file and its directories. */
function breaches(kind: TrustedFile, path: string, { config, uid }: Node): string[] {
  const texts: string[] = [];
  const rules = {
    force: true,
    trustedGroup: config.trustedGroup,
    ...(uid === undefined ? {} : { uid }),
  };
  try {
    checkFile(kind, path, rules, { warning: (text) => void texts.push(text) });
  } catch (error) {
    texts.push(systemText(error));
  }
  return texts;
}

function socketDirectory(node: Node): Finding[] {
  const found = breaches("socket", node.socketPath, node);
  if (found.length > 0) return found.map((text) => explained(problem, text, node));
  return [ok(`All users can reach "${dirname(node.socketPath)}"`)];
}

function diskSpace({ config, socketPath }: Node): Finding[] {
  const directories = new Set(
    [config.seedFile, config.replayDir ?? config.seedFile, config.pidFile, socketPath]
      .concat(config.syslog || config.foreground ? [] : config.logFile).map((path) =>
        dirname(path)
      ),
  );
  const seen = new Set<number>();
  const findings: Finding[] = [];
  for (const directory of directories) {
    try {
      const { dev } = statSync(directory);
      if (seen.has(dev)) continue;
      seen.add(dev);
      const { bavail, bsize, ffree, files } = statfsSync(directory);
      const fix = `df -h ${quote(directory)}; du -xah ${quote(directory)} | sort -h | tail`;
      if (files > 0 && ffree === 0) {
        findings.push(problem(`The file system of "${directory}" has no free inodes`, fix));
      } else if (bavail * bsize < DISK_WARNING) {
        const make = bavail * bsize < DISK_PROBLEM ? problem : warning;
        const left = `${Math.floor(bavail * bsize / 1024)} KiB left`;
        findings.push(
          make(`The file system of "${directory}" is full or nearly full: ${left}`, fix),
        );
      }
    } catch {
      // The checks above report a directory that is missing or hidden.
    }
  }
  return findings.length > 0 ? findings : [ok("There is enough space for munged's files")];
}

function lock({ lock, socketPath, exchange, uid }: Node): Finding[] {
  const path = lockPath(socketPath);
  if (lock.state === "bad") return [problem(lock.breach, `rm -r ${quote(path)}`)];
  if (lock.state === "hidden") {
    return [skipped(`You may not see which process holds the lock: ${AS_ROOT}`)];
  }
  const stats = lstatSync(path, { throwIfNoEntry: false });
  const breach = stats === undefined || uid === undefined
    ? undefined
    : lockFileBreach(path, stats, uid);
  if (lock.state === "held") {
    const { pid, name, isStopped } = lock.holder;
    const holder = `pid ${pid} (${name ?? "name hidden"})`;
    if (exchange.state === "answered" || exchange.answered) {
      return breach === undefined ? [ok(`${holder} holds it`)] : [warning(breach)];
    }
    if (isStopped) {
      return [problem(`${holder} holds the lock but is stopped by a signal`, `kill -CONT ${pid}`)];
    }
    if (!isMunged(lock.holder)) {
      return [
        problem(
          `${holder} is not munged but holds the lock of its socket, "${path}", so munged cannot start`,
          `kill ${pid}`,
        ),
      ];
    }
    return [ok(`${holder} holds it`)];
  }
  if (breach !== undefined) return [problem(breach, `rm ${quote(path)}`)];
  if (exchange.state === "answered") {
    return [warning(`munged answers on the socket, but no process holds its lock, "${path}"`)];
  }
  return [ok("No process holds it")];
}

function isMunged({ name, executable }: Holder): boolean {
  return name === undefined || /^munge(d|box)$/.test(name) ||
    /\/munge(d|box)[^/]*$/.test(executable ?? "");
}

function socket({ socketPath, exchange, lock, start }: Node): Finding[] {
  if (exchange.state === "answered" || exchange.answered) {
    return [ok(`munged answers on "${socketPath}"`)];
  }
  const { text } = exchange;
  const found = lstatSync(socketPath, { throwIfNoEntry: false });
  if (lock.state === "held") {
    const { pid } = lock.holder;
    return [
      problem(
        `munged, pid ${pid}, is running but does not answer: ${text}`,
        `kill ${pid}; ${start}`,
      ),
    ];
  }
  if (/Permission denied/.test(text)) {
    return [
      problem(`You are not allowed to reach the socket: ${text}`, `namei -l ${quote(socketPath)}`),
    ];
  }
  if (found === undefined) return [problem(`munged is not running: ${text}`, start)];
  if (!found.isSocket()) {
    return [problem(`"${socketPath}" is not a socket`, `rm -r ${quote(socketPath)}`)];
  }
  if (/Connection refused/.test(text)) {
    return [
      problem(`munged is not running; the previous one left its socket behind: ${text}`, start),
    ];
  }
  return [problem(`munged does not answer: ${text}`, start)];
}

function roundTrip(node: Node): Finding[] {
  const { exchange } = node;
  if (exchange.state === "answered") {
    const time = `${exchange.milliseconds.toFixed(1)} ms`;
    if (exchange.milliseconds < SLOW_MS) return [ok(`Made and opened a credential in ${time}`)];
    return [warning(`Making and opening a credential took ${time}`, "remunge")];
  }
  if (!exchange.answered) return [skipped("munged does not answer")];
  return [explained(problem, `munged refuses its own credential: ${exchange.text}`, node)];
}

function keyInForce({ exchange, lock, keyFile, start, args }: Node): Finding[] {
  if (exchange.state !== "answered" || exchange.decodesFileKey === undefined) {
    return [skipped("The key munged uses can't be compared with the key file")];
  }
  if (exchange.decodesFileKey && exchange.encodesWithFileKey) {
    return [ok(`munged uses the key in "${keyFile}"`)];
  }
  const holder = lock.state === "held" ? lock.holder : undefined;
  const other = holder?.args.find((word) => word.startsWith("--key-file="));
  const pid = holder === undefined ? "" : ` (pid ${holder.pid})`;
  if (other !== undefined && other !== `--key-file=${keyFile}`) {
    const words = [...args.filter((word) => !word.startsWith("--key-file=")), other];
    return [
      problem(
        `munged${pid} was started with ${other}, which differs from the key in "${keyFile}"`,
        `mungebox doctor ${words.map(quote).join(" ")}`,
      ),
    ];
  }
  const what = exchange.decodesFileKey
    ? "still encodes with a different key than the one in"
    : "has a different key than the one in";
  const stop = `munged --stop${
    args.filter((word) => word.startsWith("--socket=")).map((word) => ` ${quote(word)}`).join("")
  }`;
  return [
    problem(
      `munged${pid} ${what} "${keyFile}": the file was changed after munged read it`,
      start.startsWith("systemctl") ? start : `${stop} && ${start}`,
    ),
  ];
}

function daemonClock({ exchange, lock }: Node): Finding[] {
  if (exchange.state !== "answered") return [];
  const { clockLead } = exchange;
  const seconds = Math.abs(clockLead);
  if (seconds < CLOCK_WARNING) return [ok("munged's clock agrees with this host's")];
  const make = seconds < CLOCK_PROBLEM ? warning : problem;
  const pid = lock.state === "held" ? `tr '\\0' '\\n' </proc/${lock.holder.pid}/environ` : "date";
  return [
    make(
      `munged's clock is ${seconds} s ${clockLead > 0 ? "ahead of" : "behind"} this host's`,
      pid,
    ),
  ];
}

function clock(): Finding[] {
  switch (isClockSynchronized()) {
    case true:
      return [ok("The kernel reports the clock as synchronised")];
    case false:
      return [
        note(
          "The kernel reports that nothing synchronises the clock, which decides when credentials expire",
          "timedatectl set-ntp true",
        ),
      ];
    default:
      return [skipped("This system does not report whether the clock is synchronised")];
  }
}

function nameService({ config }: Node): Finding[] {
  const started = performance.now();
  const uid = process.geteuid!();
  if (userById(uid) === undefined) {
    return [
      warning(`Your UID ${uid} is unknown to the name service`, `getent passwd ${uid}`),
    ];
  }
  const name = config.origin ?? hostname();
  const origin = config.origin === null ? lookUpHost(name) : undefined;
  const milliseconds = performance.now() - started;
  if (milliseconds > SLOW_MS) {
    const text = `The name service took ${
      (milliseconds / 1000).toFixed(1)
    } s to look up a user and a host`;
    return [warning(text, `time getent ahostsv4 ${quote(name)}`)];
  }
  if (origin !== undefined && "failure" in origin) {
    const text =
      `The host's name, "${name}", has no address, so credentials give 0.0.0.0 as their origin`;
    return [note(text, `getent ahostsv4 ${quote(name)}`)];
  }
  return [ok("Users and this host's name can be looked up")];
}

function version({ lock, start }: Node): Finding[] {
  const ours = `This is ${VERSION_LINE}`;
  if (lock.state !== "held" || lock.holder.executable === undefined) return [ok(ours)];
  const { executable } = lock.holder;
  if (executable.endsWith(" (deleted)")) {
    return [
      warning(
        "munged's executable was replaced after it started, so the old version is still running",
        start,
      ),
    ];
  }
  const daemon = versionOf(executable);
  return [ok(daemon === undefined ? ours : `${ours}; munged is ${daemon}`)];
}

/** The version an executable reports, if no other user could have put it there. */
function versionOf(executable: string): string | undefined {
  const stats = statSync(executable, { throwIfNoEntry: false });
  const isTrusted = stats !== undefined && (stats.mode & 0o022) === 0 &&
    (stats.uid === 0 || stats.uid === process.geteuid!()) &&
    /\/munge(d|box)[^/]*$/.test(executable);
  if (!isTrusted) return undefined;
  const { stdout } = spawnSync(executable, ["--version"], { argv0: "munged", timeout: 5000 });
  return stdout.toString().split("\n")[0]?.trim();
}

/** The last error in the log since munged last started. */
function log(node: Node): Finding[] {
  const { config, exchange } = node;
  if (config.syslog || config.foreground || exchange.state === "answered") return [];
  let text: string;
  try {
    text = readFileSync(config.logFile, "latin1").slice(-LOG_TAIL);
  } catch {
    return [];
  }
  const errors = text.slice(Math.max(0, text.lastIndexOf("Starting munge-"))).split("\n")
    .filter((line) => / Error: /.test(line));
  const last = errors.at(-1);
  if (last === undefined) return [ok("The log has no errors since munged last started")];
  const cause = explain(last, node);
  return [
    note(`The last error in the log is: ${last}${cause ? ` - ${cause.text}` : ""}`, cause?.fix),
  ];
}
