// A temporary directory for a test.
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Runs `body` with a new directory that all users may enter, then removes it. */
export function withDirectory(body: (directory: string) => Promise<void>): Promise<void>;
export function withDirectory(body: (directory: string) => void): void;
export function withDirectory(body: (directory: string) => Promise<void> | void) {
  const directory = mkdtempSync(join(tmpdir(), "munged-test-"));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  let ended: Promise<void> | void;
  try {
    chmodSync(directory, 0o755);
    ended = body(directory);
  } catch (error) {
    remove();
    throw error;
  }
  if (ended instanceof Promise) return ended.finally(remove);
  return remove();
}
