// The log of AUKS's programs, in the format that administrators' scripts read: `CTIME [INFOn] [euid=E,pid=P] text`, where n
// is the line's level. Lines above the configured level are dropped.
import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";
import type { LogConfig } from "../../lib/auks/config.ts";
import { openDatagramSocket, sendDatagram } from "../../lib/os/datagram.ts";
import { formatLocalTime } from "../../lib/os/local_time.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { printable } from "../../lib/printable.ts";
import { SYSLOG_SOCKET, waitForReader } from "./log_target.ts";

/** Target of a log. A file is opened when its first line is written. */
export type AuksLogTarget =
  | { readonly kind: "descriptor"; readonly fd: number }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "syslog"; readonly program: string };

/** Levels up to which lines are logged. */
export interface AuksLogLevels {
  readonly info: number;
  readonly debug: number;
}

/** Logs lines; never throws, because a full disk must not stop a daemon. */
export interface AuksLog {
  info(level: number, text: string): void;
  debug(level: number, text: string): void;
  /** Reopens a log file after logrotate has moved the old one. */
  reopen(): void;
}

const LOG_MODE = 0o640;
/** LOG_DAEMON << 3 | LOG_INFO */
const SYSLOG_PRIORITY = (3 << 3) | 6;
const CTIME = "%a %b %e %H:%M:%S %Y";

/**
 * A log that writes to `target`.
 *
 * @param complain is called once with the reason if lines can't be written.
 */
export function createAuksLog(
  target: AuksLogTarget,
  levels: AuksLogLevels,
  complain: (text: string) => void,
): AuksLog {
  let sink: number | undefined;
  let complained = false;
  const put = (label: string, text: string) => {
    try {
      sink ??= openSink(target);
      writeAuksLine(target, sink, `${label} ${printable(text)}`);
    } catch (error) {
      if (!complained) complain(`${describe(target)}: ${systemText(error)}`);
      complained = true;
    }
  };
  return {
    info(level, text) {
      if (level > levels.info) return;
      put(`[INFO${level}] [euid=${process.geteuid!()},pid=${process.pid}]`, text);
    },
    debug(level, text) {
      if (level <= levels.debug) put(`[DBUG${level}]`, text);
    },
    reopen() {
      if (target.kind !== "file" || sink === undefined || sink <= 2) return;
      closeSync(sink);
      sink = undefined;
    },
  };
}

/** Names of streams that are already open. */
const STREAMS: Readonly<Record<string, number>> = { "/dev/stdout": 1, "/dev/stderr": 2 };

/** Opens a log file for appending; a link in /tmp must not redirect root to another file. */
function openLogFile(path: string): number {
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;
  const fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, LOG_MODE);
  const stats = fstatSync(fd);
  if (stats.isFile() || stats.isCharacterDevice()) return fd;
  closeSync(fd);
  throw new Error("Not a regular file");
}

/** A log that discards everything. */
export const SILENT: AuksLog = { info() {}, debug() {}, reopen() {} };

/** A log to the two files of a block of auks.conf. @param complain as for {@linkcode createAuksLog}. */
export function openLogFiles(config: LogConfig, complain: (text: string) => void): AuksLog {
  const open = (path: string | undefined, levels: AuksLogLevels) =>
    path === undefined ? SILENT : createAuksLog({ kind: "file", path }, levels, complain);
  const info = open(config.logFile, { info: config.logLevel, debug: 0 });
  const debug = open(config.debugFile, { info: 0, debug: config.debugLevel });
  return {
    info: (level, text) => info.info(level, text),
    debug: (level, text) => debug.debug(level, text),
    reopen() {
      info.reopen();
      debug.reopen();
    },
  };
}

function openSink(target: AuksLogTarget): number {
  switch (target.kind) {
    case "descriptor":
      return target.fd;
    case "file":
      return STREAMS[target.path] ?? openLogFile(target.path);
    case "syslog":
      return openDatagramSocket();
  }
}

function writeAuksLine(target: AuksLogTarget, sink: number, line: string): void {
  if (target.kind === "syslog") {
    sendSyslog(sink, SYSLOG_PRIORITY, target.program, line);
    return;
  }
  if (target.kind === "descriptor") waitForReader(sink);
  writeSync(sink, `${formatLocalTime(Math.floor(Date.now() / 1000), CTIME)} ${line}\n`);
}

/** Sends a line to syslog. @throws {Error} if it is not accepted. */
export function sendSyslog(socket: number, priority: number, program: string, line: string): void {
  const stamp = formatLocalTime(Math.floor(Date.now() / 1000), "%b %e %H:%M:%S");
  const message = `<${priority}>${stamp} ${program}[${process.pid}]: ${line}`;
  if (!sendDatagram(socket, SYSLOG_SOCKET, message)) {
    throw new Error("No syslog daemon is listening");
  }
}

function describe(target: AuksLogTarget): string {
  return target.kind === "file" ? target.path : target.kind === "syslog" ? "syslog" : "the log";
}
