// Checks of the daemon: the holder of its lock, whether and how it answers, its key, clock and version, and the log of one
// that is not running.
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
} from "node:fs";
import { basename } from "node:path";
import { lockFileBreach, lockPath } from "../../daemon/process/lock_file.ts";
import type { Status } from "../../daemon/munged/observe/status.ts";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { VERSION_LINE } from "../../lib/version.ts";
import { explain, isByPolicy } from "./causes.ts";
import { AS_ROOT, explained, optionOf } from "./file_checks.ts";
import { advise, type Finding, note, ok, problem, run, skipped, warning } from "./finding.ts";
import type { Holder } from "./lock.ts";
import type { Node } from "./node.ts";
import { quote } from "./place.ts";

/** Seconds between two clocks that are suspicious but still harmless, and that cause failures. */
const CLOCK_WARNING = 5;
export const CLOCK_PROBLEM = 60;
const SLOW_MS = 1000;
const LOG_TAIL = 65_536;
/** The flag of listening sockets in /proc/net/unix (`__SO_ACCEPTCON`). */
const LISTENING = 0x10000;

/** Whether munged, and no other process, holds the lock of its socket. */
export function lock({ lock, socketPath, exchange, uid, ownerOf }: Node): Finding[] {
  const path = lockPath(socketPath);
  switch (lock.state) {
    case "bad":
      return [problem(lock.breach, advise(`Find out what "${path}" is, and move it away`))];
    case "hidden":
      return [skipped(`You can't see which process holds the lock: ${AS_ROOT}`)];
    case "held elsewhere": {
      if (exchange.state === "answered" || exchange.answered) {
        return [
          ok("A process that cannot be seen from here holds it, perhaps in another container"),
        ];
      }
      const text = `A process that cannot be seen from here holds the lock "${path}"`;
      return [problem(text, advise("End it where it runs: in another container, or on the host"))];
    }
  }
  const stats = lstatSync(path, { throwIfNoEntry: false });
  const breach = stats === undefined || uid === undefined
    ? undefined
    : lockFileBreach(path, stats, uid);
  if (lock.state === "held") return heldLock(lock.holder, path, exchange, breach);
  if (breach !== undefined) {
    const isSafe = stats?.size === 0 && ownerOf(path) !== "others";
    const remedy = isSafe ? run(`rm ${quote(path)}`) : advise("Remove it once you know what it is");
    return [problem(breach, remedy)];
  }
  if (exchange.state === "answered") {
    return [warning(`munged answers on the socket, but no process holds its lock, "${path}"`)];
  }
  return [ok("No process holds it")];
}

function heldLock(
  holder: Holder,
  path: string,
  exchange: Node["exchange"],
  breach: string | undefined,
): Finding[] {
  const { pid, name, isStopped } = holder;
  const who = `pid ${pid} (${name ?? "name hidden"})`;
  if (exchange.state === "answered" || exchange.answered) {
    return breach === undefined ? [ok(`${who} holds it`)] : [warning(breach)];
  }
  if (isStopped) {
    return [problem(`${who} holds the lock but is stopped by a signal`, run(`kill -CONT ${pid}`))];
  }
  if (isMunged(holder)) return [ok(`${who} holds it`)];
  return [
    problem(
      `${who} is not munged but holds the lock of its socket, "${path}", so munged cannot start`,
      advise("Find out what it is, and end it"),
    ),
  ];
}

function isMunged({ name, executable }: Holder): boolean {
  return name === undefined || /^munge(d|box)$/.test(name) ||
    /^munge(d|box)/.test(basename(executable ?? ""));
}

/** Whether something answers on the socket. */
export function socket({ socketPath, exchange, lock, start, restart }: Node): Finding[] {
  if (exchange.state === "answered" || exchange.answered) {
    return [ok(`munged answers on "${socketPath}"`)];
  }
  const { text, code } = exchange;
  if (lock.state === "held") {
    const { pid } = lock.holder;
    const what = `munged, pid ${pid}, is running but does not answer: ${text}`;
    return [
      problem(what, isMunged(lock.holder) ? run(restart) : advise("See what the check above says")),
    ];
  }
  if (code === "EACCES") {
    return [
      problem(
        `You are not allowed to reach the socket: ${text}`,
        advise("Let all users pass through the directories above it"),
      ),
    ];
  }
  const found = lstatSync(socketPath, { throwIfNoEntry: false });
  if (found === undefined) {
    if (!isListening(socketPath)) return [problem(`munged is not running: ${text}`, run(start))];
    const what = `munged is running, but its socket "${socketPath}" has been removed`;
    const remedy = advise(
      "It creates the socket again within seconds once it can make the directory or may write to it; " +
        "the C munged has to be restarted",
    );
    return [problem(what, remedy)];
  }
  if (!found.isSocket()) {
    const remedy = advise("Move it away, or give munged another path with --socket");
    return [problem(`"${socketPath}" is not a socket`, remedy)];
  }
  if (code === "ECONNREFUSED") {
    return [
      problem(
        `munged is not running; the previous one left its socket behind: ${text}`,
        run(start),
      ),
    ];
  }
  if (lock.state === "free") {
    const what =
      `"${socketPath}" is open, as systemd keeps it for munge.socket, but no munged serves it`;
    return [problem(`${what}: ${text}`, run(start))];
  }
  return [problem(`munged does not answer: ${text}`, run(restart))];
}

/** Whether a process listens on the socket that was bound to a path, even if the file is gone. */
function isListening(path: string): boolean {
  let sockets: string;
  try {
    sockets = readFileSync("/proc/net/unix", "utf8");
  } catch {
    return false; // not Linux, or no /proc
  }
  return sockets.split("\n").some((line) => {
    const flags = line.split(" ", 4)[3]; // address, references, protocol, flags
    return line.endsWith(` ${path}`) && (Number.parseInt(flags!, 16) & LISTENING) !== 0;
  });
}

/** Whether munged opens its own credential in reasonable time. */
export function roundTrip(node: Node): Finding[] {
  const { exchange } = node;
  if (exchange.state === "answered") {
    const time = `${exchange.milliseconds.toFixed(1)} ms`;
    if (exchange.milliseconds < SLOW_MS) return [ok(`Made and opened a credential in ${time}`)];
    return [
      warning(
        `Making and opening a credential took ${time}`,
        advise("Find out what keeps the machine or munged busy (munged --status)"),
      ),
    ];
  }
  if (!exchange.answered) return [skipped("munged does not answer")];
  // It may be intended that munged does not serve this user or this host.
  const make = isByPolicy(exchange.text) ? note : problem;
  return [explained(make, `munged refuses its own credential: ${exchange.text}`, node)];
}

/** Whether munged uses the key in the file. */
export function keyInForce({ exchange, lock, keyFile, restart, args }: Node): Finding[] {
  if (exchange.state !== "answered" || exchange.decodesFileKey === undefined) {
    return [skipped("The key munged uses can't be compared with the key file")];
  }
  if (exchange.decodesFileKey && exchange.encodesWithFileKey) {
    return [ok(`munged uses the key in "${keyFile}"`)];
  }
  const holder = lock.state === "held" ? lock.holder : undefined;
  const other = holder && optionOf(holder.options, "key-file");
  const pid = holder === undefined ? "" : ` (pid ${holder.pid})`;
  if (other !== undefined && other !== keyFile) {
    const words = [
      ...args.filter((word) => !word.startsWith("--key-file=")),
      `--key-file=${other}`,
    ];
    return [
      problem(
        `munged${pid} was started with --key-file=${other}, which differs from the key in "${keyFile}"`,
        run(`mungebox doctor ${words.map(quote).join(" ")}`),
      ),
    ];
  }
  const what = exchange.decodesFileKey
    ? "still encodes with a different key than the one in"
    : "has a different key than the one in";
  const text = `munged${pid} ${what} "${keyFile}": the file was changed after munged read it`;
  return [problem(text, run(restart))];
}

/** Whether munged's clock agrees with this host's. */
export function daemonClock({ exchange }: Node): Finding[] {
  if (exchange.state !== "answered") return [];
  const { clockLead } = exchange;
  const seconds = Math.abs(clockLead);
  if (seconds < CLOCK_WARNING) return [ok("munged's clock agrees with this host's")];
  const make = seconds < CLOCK_PROBLEM ? warning : problem;
  return [
    make(
      `munged's clock is ${seconds} s ${clockLead > 0 ? "ahead of" : "behind"} this host's`,
      advise("Check how munged was started: with a library like faketime, or in a time namespace"),
    ),
  ];
}

/** Which version is running. Doctor asks munged, because it must not run the file that munged's process points to. */
export function version({ lock, restart, socketPath }: Node): Finding[] {
  const ours = `This is ${VERSION_LINE}`;
  const executable = lock.state === "held" ? lock.holder.executable : undefined;
  if (executable === undefined) return [ok(ours)];
  if (executable.endsWith(" (deleted)")) {
    return [
      warning(
        "munged's executable was replaced after it started, so the old version is still running",
        run(restart),
      ),
    ];
  }
  if (!basename(executable).startsWith("mungebox")) return [ok(ours)];
  const daemon = versionAt(socketPath);
  return [ok(daemon === undefined ? ours : `${ours}; munged is ${daemon}`)];
}

/** Whether munged's limit on payloads is the configured one. */
export function maxPayload({ exchange, config, socketPath, lock, restart }: Node): Finding[] {
  const executable = lock.state === "held" ? lock.holder.executable : undefined;
  if (exchange.state !== "answered" || !basename(executable ?? "").startsWith("mungebox")) {
    return [];
  }
  const accepted = new BlockingClient(socketPath, { waitForSocket: false }).maxPayload();
  if (accepted === config.maxPayload) return [ok(`munged accepts payloads of ${accepted} bytes`)];
  return [
    warning(
      `munged accepts payloads of ${accepted} bytes, but is configured for ${config.maxPayload}`,
      run(restart),
    ),
  ];
}

/** The version of the munged behind a socket; undefined if it does not report one. */
function versionAt(socketPath: string): string | undefined {
  try {
    const status = JSON.parse(
      new BlockingClient(socketPath, { waitForSocket: false }).status(),
    ) as Partial<Status>;
    const { version, compatible_version: compatible } = status;
    return typeof version === "string" && typeof compatible === "string"
      ? `munge-${compatible} (mungebox ${version})`
      : undefined;
  } catch {
    return undefined;
  }
}

/** The last error in the log since munged last started. */
export function log(node: Node): Finding[] {
  const { config, exchange } = node;
  if (config.syslog || config.foreground || exchange.state === "answered") return [];
  const text = readTail(config.logFile);
  if (text === undefined) return [];
  const errors = text.slice(Math.max(0, text.lastIndexOf("Starting munge-"))).split("\n")
    .filter((line) => / Error: /.test(line));
  const last = errors.at(-1);
  if (last === undefined) return [ok("The log has no errors since munged last started")];
  const cause = explain(last, node);
  return [
    note(`The last error in the log is: ${last}${cause ? ` - ${cause.text}` : ""}`, cause?.remedy),
  ];
}

/** The end of a regular file, whose path the running munged may have chosen. */
function readTail(path: string): string | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    const stats = fstatSync(fd);
    if (!stats.isFile()) return undefined;
    const buffer = Buffer.alloc(Math.min(LOG_TAIL, stats.size));
    const count = readSync(fd, buffer, 0, buffer.length, stats.size - buffer.length);
    return buffer.toString("utf8", 0, count);
  } catch {
    return undefined; // missing or hidden, which the checks of files report
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
