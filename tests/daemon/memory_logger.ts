// A logger for tests, which keeps its lines.
import type { Logger } from "../../daemon/process/log.ts";

/** A logger that keeps `level: text` in `lines`. */
export function memoryLogger(): Logger & { lines: string[] } {
  const lines: string[] = [];
  const at = (level: string) => (text: string) => void lines.push(`${level}: ${text}`);
  return {
    lines,
    error: at("error"),
    warning: at("warning"),
    notice: at("notice"),
    info: at("info"),
    debug: at("debug"),
    limited: (_cause, level, text) => at(level)(text),
    client: (_uid, _cause, text) => at("info")(text),
    audit: () => {},
  };
}
