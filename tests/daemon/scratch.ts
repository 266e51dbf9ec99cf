// What the daemon's tests share: a temporary directory and a logger that keeps its lines.
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Logger } from "../../daemon/process/log.ts";

/** Runs `body` with a new directory that all users may enter, then removes it. */
export function withDirectory(body: (directory: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), "munged-test-"));
  chmodSync(directory, 0o755);
  try {
    body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

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

/** Whether we can create files of other owners. */
export const isRoot = process.geteuid!() === 0;
