// Where log messages go: a file, standard error or syslog. Every thread writes to the same descriptor number, one write per
// line, so that threads need no coordination when the file is reopened. log.ts formats the messages.
import { MungeError } from "../../lib/errors.ts";
import { checkFile, type SecurityRules, type WarningLog } from "../../lib/files/security.ts";
import { openDatagramSocket, sendDatagram } from "../../lib/os/datagram.ts";
import { fs } from "../../lib/os/file_system.ts";
import { formatLocalTime } from "../../lib/os/local_time.ts";
import { canWrite, duplicateOver } from "../../lib/os/process.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { createClientLimits } from "./client_limits.ts";
import type { LogFormat } from "./log_format.ts";
import { createLogLimits } from "./log_limits.ts";
import { createRecentMessages } from "./recent_messages.ts";

/** The settings for a log's target and form. */
export interface LogConfig extends SecurityRules {
  /** Base name of argv[0], the prefix of messages on standard error. */
  readonly program: string;
  readonly verbose: boolean;
  readonly foreground: boolean;
  readonly syslog: boolean;
  readonly logFile: string;
  /** The reference's lines, or one JSON object per line. */
  readonly logFormat: LogFormat;
}

/** The target of a log; plain data that can be posted to another thread. */
export interface LogTarget {
  readonly kind: "file" | "stderr" | "syslog";
  readonly fd: number;
  /** The name that precedes each message where the log is not ours alone. */
  readonly program: string;
  /** Whether to log debug messages. */
  readonly verbose: boolean;
  readonly format: LogFormat;
  /** Whether lines begin with `<N>`, from which systemd's journal takes their priority. */
  readonly hasPriorities: boolean;
  /** The last errors and warnings, in memory shared by all threads. */
  readonly recent: SharedArrayBuffer;
  /** When each cause was last logged, in memory shared by all threads. */
  readonly limits: SharedArrayBuffer;
  /** What clients have caused to be logged, in memory shared by all threads. */
  readonly clients: SharedArrayBuffer;
}

/** Severities with their syslog priority. */
const LEVELS = { error: 3, warning: 4, notice: 5, info: 6, debug: 7 } as const;
/** A message's severity. */
export type LogLevel = keyof typeof LEVELS;

/** How long to wait for a reader of standard error; then messages are dropped until it reads again. */
const READER_TIMEOUT_MS = 1_000;
const LOG_MODE = 0o640;
/** LOG_DAEMON << 3 */
const SYSLOG_FACILITY = 3 << 3;
/** The socket of the syslog daemon. */
export const SYSLOG_SOCKET = process.platform === "linux"
  ? "/dev/log"
  : process.platform === "darwin"
  ? "/var/run/syslog"
  : "/var/run/log";

/** The log until the real one is open, and that of a daemon in the foreground. */
export function stderrLog(
  config: Pick<LogConfig, "program" | "verbose" | "foreground" | "logFormat">,
): LogTarget {
  const { program, verbose, foreground, logFormat } = config;
  // The user who started us reads what is printed before munged goes into the background.
  const format = foreground ? logFormat : "text";
  const hasPriorities = isJournal(2);
  return { ...sharedMemory(), kind: "stderr", fd: 2, program, verbose, format, hasPriorities };
}

/** Whether a descriptor is systemd's journal: JOURNAL_STREAM has its device and inode (systemd.exec(5)). */
function isJournal(fd: number): boolean {
  const stream = process.env["JOURNAL_STREAM"];
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fs().fstatSync(fd, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false; // it is closed
  }
}

/**
 * Opens the log that `config` asks for: standard error in the foreground, otherwise syslog or the log file.
 *
 * @param early receives warnings about the log file itself.
 * @throws {MungeError} if the log file is insecure or can't be opened.
 */
export function openLog(config: LogConfig, early: WarningLog): LogTarget {
  if (config.foreground) return stderrLog(config);
  const { program, verbose, logFormat: format } = config;
  const common = { ...sharedMemory(), program, verbose, format, hasPriorities: false };
  if (config.syslog) return { ...common, kind: "syslog", fd: openDatagramSocket() };
  checkFile("log", config.logFile, config, early);
  return { ...common, kind: "file", fd: openLogFile(config) };
}

function sharedMemory(): Pick<LogTarget, "recent" | "limits" | "clients"> {
  return {
    recent: createRecentMessages(),
    limits: createLogLimits(),
    clients: createClientLimits(),
  };
}

/**
 * Reopens the log file under the same descriptor number, after logrotate has moved the old one.
 *
 * @throws {MungeError} if that fails; the old file then stays in use.
 */
export function reopenLog(target: LogTarget, config: LogConfig): void {
  if (target.kind !== "file") return;
  const fd = openLogFile(config);
  try {
    duplicateOver(fd, target.fd);
  } finally {
    fs().closeSync(fd);
  }
}

function openLogFile({ logFile, force }: LogConfig): number {
  const { O_WRONLY, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = fs().constants;
  const flags = O_WRONLY | O_APPEND | O_NONBLOCK | (force ? 0 : O_NOFOLLOW);
  let fd: number | undefined;
  try {
    try {
      fd = fs().openSync(logFile, flags | O_CREAT | O_EXCL, LOG_MODE);
      fs().fchmodSync(fd, LOG_MODE); // regardless of the umask
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      fd = fs().openSync(logFile, flags | O_CREAT, LOG_MODE);
    }
    if (!fs().fstatSync(fd).isFile()) throw new Error("Not a regular file");
    return fd;
  } catch (error) {
    if (fd !== undefined) fs().closeSync(fd);
    const text = `Failed to open logfile "${logFile}": ${systemText(error)}`;
    throw new MungeError("EMUNGE_SNAFU", text, { cause: error });
  }
}

/** Each writes one message in its final form, or throws. */
export const WRITERS: Record<
  LogTarget["kind"],
  (to: LogTarget, level: LogLevel, text: string) => void
> = {
  file(target, level, text) {
    if (target.format === "json") return writeLine(target.fd, text);
    const label = `${levelName(level)}:`.padEnd(10);
    const time = formatLocalTime(seconds(), "%Y-%m-%d %H:%M:%S %z");
    writeLine(target.fd, `${time} ${label} ${text}`);
  },
  stderr(target, level, text) {
    waitForReader(target.fd);
    const priority = target.hasPriorities ? `<${LEVELS[level]}>` : "";
    if (target.format === "json") return writeLine(target.fd, `${priority}${text}`);
    const prefix = target.program === "" ? "" : `${target.program}: `;
    writeLine(target.fd, `${priority}${prefix}${levelName(level)}: ${text}`);
  },
  syslog(target, level, text) {
    const stamp = formatLocalTime(seconds(), "%b %e %H:%M:%S");
    const priority = SYSLOG_FACILITY | LEVELS[level];
    const line = `<${priority}>${stamp} ${target.program}[${process.pid}]: ${text}`;
    if (!sendDatagram(target.fd, SYSLOG_SOCKET, line)) {
      throw new Error("No syslog daemon is listening");
    }
  },
};

/** One write per line, so that lines from several threads stay whole. */
function writeLine(fd: number, line: string): void {
  const bytes = new TextEncoder().encode(`${line}\n`);
  if (fs().writeSync(fd, bytes) < bytes.length) {
    throw new Error("Only part of the line was written");
  }
}

let isReaderStuck = false;

/** A stuck reader of standard error must not keep munged from serving. */
export function waitForReader(fd: number): void {
  isReaderStuck = !canWrite(fd, isReaderStuck ? 0 : READER_TIMEOUT_MS);
  if (isReaderStuck) throw new Error("The log is not being read");
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}

function levelName(level: LogLevel): string {
  return level.charAt(0).toUpperCase() + level.slice(1);
}
