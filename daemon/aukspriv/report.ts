// The log of aukspriv: syslog with the administrator's priority, or standard output.
import { openDatagramSocket } from "../../lib/os/datagram.ts";
import { formatLocalTime } from "../../lib/os/local_time.ts";
import { writeWhole } from "../../lib/os/standard_streams.ts";
import { sendSyslog } from "../process/auks_log.ts";
import { printable } from "../../lib/printable.ts";
import { SettingError } from "./settings.ts";

const FACILITIES: Readonly<Record<string, number>> = {
  kern: 0,
  user: 1,
  mail: 2,
  daemon: 3,
  auth: 4,
  syslog: 5,
  lpr: 6,
  news: 7,
  uucp: 8,
  cron: 9,
  authpriv: 10,
  ftp: 11,
  ...Object.fromEntries(Array.from({ length: 8 }, (_, at) => [`local${at}`, 16 + at])),
};
const LEVELS = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
const OTHER_NAMES: Readonly<Record<string, string>> = {
  panic: "emerg",
  error: "err",
  warn: "warning",
};
/** The date in the format of date(1) in the C locale. */
const DATE = "%a %b %e %H:%M:%S %Z %Y";

/**
 * The number of a priority in the format of logger(1): `local3.notice`, or just a level.
 *
 * @throws {SettingError} for any other text.
 */
export function syslogPriority(text: string): number {
  const [, facility = "user", level = ""] = /^(?:([a-z0-9]+)\.)?([a-z]+)$/.exec(text) ?? [];
  const severity = LEVELS.indexOf(OTHER_NAMES[level] ?? level);
  const number = FACILITIES[facility];
  if (severity >= 0 && number !== undefined) return number << 3 | severity;
  throw new SettingError(`AUKS_PRIV_SYSLOG_PRIO: "${text}" is not a syslog priority`);
}

/**
 * Returns a function that logs a line.
 *
 * @param priority of syslog; undefined for standard output.
 * @throws {SettingError} for an unknown priority.
 */
export function createReport(priority: string | undefined): (line: string) => void {
  if (priority === undefined) return printLine;
  const number = syslogPriority(priority);
  const socket = openDatagramSocket();
  return (line) => {
    try {
      sendSyslog(socket, number, "aukspriv", escapeExceptTabs(line));
    } catch {
      // No syslog daemon is running, and in the background there is no standard output to report it on.
    }
  };
}

function printLine(line: string): void {
  const date = formatLocalTime(Math.floor(Date.now() / 1000), DATE);
  writeWhole(1, new TextEncoder().encode(`${date} [INFO1] aukspriv:  ${escapeExceptTabs(line)}\n`));
}

/** The original's texts contain tabs, which are harmless. */
function escapeExceptTabs(line: string): string {
  return line.split("\t").map(printable).join("\t");
}
