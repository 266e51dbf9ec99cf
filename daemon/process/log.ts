// The logger: formats messages, suppresses repeated ones, and handles those that can't be written. log_target.ts writes them.
import { printable, printableJson } from "../../lib/printable.ts";
import { passClientLimit } from "./client_limits.ts";
import type { LogFormat } from "./log_format.ts";
import { passLogLimit } from "./log_limits.ts";
import { type LogLevel, type LogTarget, WRITERS } from "./log_target.ts";
import { rememberMessage } from "./recent_messages.ts";

/** Logs messages; never throws, because a full disk must not stop the daemon. */
export interface Logger extends Record<LogLevel, (text: string) => void> {
  /**
   * Logs a failure that may recur endlessly, at most once in 5 minutes.
   *
   * @param cause the kind of failure, from a fixed set of words, because each is remembered.
   */
  limited(cause: string, level: LogLevel, text: string): void;
  /**
   * Logs, as Info, what a client caused: at most a few lines a minute per cause and user, with the number of
   * suppressed lines, and a few kilobytes a second in total.
   *
   * @param cause from a fixed set of words.
   */
  client(uid: number, cause: string, text: string): void;
  /**
   * Logs who was refused what, within the same limits.
   *
   * @param cause from a fixed set of words.
   * @param describe called only if there may be a line.
   */
  audit(event: string, uid: number, cause: string, describe: () => AuditFields): void;
}

/** The fields of an event, in this order. */
export type AuditFields = Readonly<Record<string, string | number>>;

/** Maximum number of bytes around a line's text: time, level, program, and how many were suppressed. */
const LINE_HEAD = 100;

/** A logger that writes to `target`; any thread may have its own. */
export function createLogger(target: LogTarget): Logger {
  const write = WRITERS[target.kind];
  const put = (level: LogLevel, text: string, fields: AuditFields) =>
    write(target, level, FORMATS[target.format](level, text, fields));
  const lengthOf = (text: string, fields: AuditFields) =>
    Buffer.byteLength(FORMATS[target.format]("info", text, fields)) + LINE_HEAD;
  let lost = 0;
  const log = (level: LogLevel, text: string, fields: AuditFields = {}) => {
    try {
      if (lost > 0) put("warning", `Lost ${lost} log message${lost === 1 ? "" : "s"}`, {});
      lost = 0;
      put(level, text, fields);
    } catch {
      lost++; // there is nowhere left to report it
    }
    if (level === "error" || level === "warning") rememberMessage(target.recent, level, text);
  };
  return {
    error: (text) => log("error", text),
    warning: (text) => log("warning", text),
    notice: (text) => log("notice", text),
    info: (text) => log("info", text),
    debug: (text) => {
      if (target.verbose) log("debug", text);
    },
    limited(cause, level, text) {
      const suppressed = passLogLimit(target.limits, cause);
      if (suppressed === null) return;
      log(level, withSuppressed(text, suppressed));
    },
    client(uid, cause, text) {
      const suppressed = passClientLimit(target.clients, cause, uid, () => lengthOf(text, {}));
      if (suppressed !== null) log("info", withSuppressed(text, suppressed));
    },
    audit(event, uid, cause, describe) {
      let fields: AuditFields = { cause };
      const suppressed = passClientLimit(target.clients, `audit ${cause}`, uid, () => {
        fields = { cause, ...describe() };
        return lengthOf(event, fields);
      });
      if (suppressed === null) return;
      log("info", event, suppressed === 0 ? fields : { ...fields, suppressed });
    },
  };
}

/** A line with the number of lines like it that a limit suppressed before it. */
export function withSuppressed(text: string, suppressed: number): string {
  return suppressed === 0 ? text : `${text} (${suppressed} more like it were not logged)`;
}

const FORMATS: Record<LogFormat, (level: LogLevel, text: string, fields: AuditFields) => string> = {
  text: (_level, text, fields) => printable(eventText(text, fields)),
  json(level, message, fields) {
    const time = new Date().toISOString();
    return printableJson({ time, level, pid: process.pid, message, ...fields });
  },
};

/** An event with its fields, `Refused decode: cause=... uid=...`. */
export function eventText(event: string, fields: AuditFields): string {
  const words = Object.entries(fields).map(([name, value]) => ` ${name}=${quoted(value)}`);
  return words.length === 0 ? event : `${event}:${words.join("")}`;
}

/** A value that can't be mistaken for several fields, even if a client chose it. */
function quoted(value: unknown): string {
  const text = String(value);
  return /^[\w.:/?+-]+$/.test(text) ? text : JSON.stringify(text);
}
