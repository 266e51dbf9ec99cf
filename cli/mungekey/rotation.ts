// mungekey's commands for the keys beside the active one: staging, promoting, retiring, listing. Every step is one
// rename() or unlink() of a complete file, so that the files form a valid ring even if it is interrupted.
import { existsSync, lstatSync, readdirSync, renameSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { readKeyFile } from "../../lib/keys/file.ts";
import { primitives } from "../../lib/primitives/executable.ts";
import { KEY_ROLES, keyFingerprint, keyPath, retiredKeyExpiry } from "../../lib/keys/ring.ts";
import { deriveSubkeys, wipeSubkeys } from "../../lib/credential/subkeys.ts";
import { formatLocalTime } from "../../lib/os/local_time.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { syncDirectory } from "../../lib/files/directory_sync.ts";
import { replaceFile } from "../../lib/files/replacement.ts";
import { print, printError, reportWarning } from "../command_line/print.ts";
import { refuse } from "../command_line/values.ts";

/** How key files are written: private, and on disk before anything depends on them. */
const KEY_FILE = { mode: 0o600, isDurable: true } as const;

/** The settings common to all key commands. */
export interface KeyCommand {
  readonly program: string;
  readonly keyFile: string;
  readonly force: boolean;
  readonly verbose: boolean;
  /** Seconds for which a retired key still decodes. */
  readonly rotationTime: number;
}

/** A key and its file. */
interface StoredKey {
  /** The file's bytes; to be wiped. */
  readonly bytes: Uint8Array;
  readonly fingerprint: string;
  /** Seconds since the epoch of the file's last change. */
  readonly since: number;
}

/** Stages a key. @returns its fingerprint. */
export function stageKey(command: KeyCommand, newKey: () => Uint8Array): string {
  const target = keyPath(command.keyFile, "next");
  if (!command.force && existsSync(target)) {
    refuse(`Failed to stage "${target}": File exists (promote it, or replace it with --force)`);
  }
  return withKey(command, command.keyFile, (active) => {
    const bytes = newKey();
    try {
      const fingerprint = fingerprintOf(bytes);
      if (fingerprint === active.fingerprint) refuse("Failed to stage key: it is the active key");
      attempt("stage", target, () => replaceFile(target, bytes, KEY_FILE));
      report(command, `Staged key ${fingerprint} in "${target}"`);
      return fingerprint;
    } finally {
      bytes.fill(0);
    }
  });
}

/**
 * old <- active <- next. First it copies the active key over the old one, which has no effect as long as that key is also
 * active; then it renames the staged file over the active one.
 *
 * @returns the new key's fingerprint.
 */
export function promoteKey(command: KeyCommand): string {
  const { keyFile } = command;
  const next = keyPath(keyFile, "next");
  const old = keyPath(keyFile, "old");
  if (!existsSync(next)) refuse(`Failed to promote "${next}": No key is staged (mungekey --stage)`);
  return withKey(command, keyFile, (active) => {
    const promoted = withKey(command, next, ({ fingerprint }) => fingerprint);
    if (promoted === active.fingerprint) {
      refuse(`Failed to promote "${next}": it is the active key`);
    }
    const counting = withOldKey(command, (key) => key.fingerprint === active.fingerprint);
    if (counting === false) refuseWhileCounting(command, "promote", next);
    attempt("promote", next, () => {
      replaceFile(old, active.bytes, KEY_FILE);
      renameSync(next, keyFile);
      syncDirectory(dirname(keyFile));
    });
    report(command, `Promoted key ${promoted}; key ${active.fingerprint} is retired`);
    return promoted;
  });
}

/** Removes the retired key. */
export function retireKey(command: KeyCommand): void {
  const old = keyPath(command.keyFile, "old");
  const fingerprint = withOldKey(command, (key) => key.fingerprint);
  if (fingerprint === undefined) refuse(`Failed to retire "${old}": No such file or directory`);
  refuseWhileCounting(command, "retire", old);
  attempt("retire", old, () => {
    unlinkSync(old);
    syncDirectory(dirname(old));
  });
  report(command, `Removed key ${fingerprint}`);
}

/** Prints the role, fingerprint, age and expiry of each key. */
export function listKeys(command: KeyCommand): void {
  const rows = [["ROLE", "FINGERPRINT", "AGE", "EXPIRY"]];
  for (const role of KEY_ROLES) {
    const path = keyPath(command.keyFile, role);
    if (role !== "active" && !existsSync(path)) continue;
    rows.push(withKey(command, path, ({ fingerprint, since }) => {
      const age = formatAge(Math.max(0, seconds() - since));
      return [role, fingerprint, age, role === "old" ? expiryText(command, since) : "-"];
    }));
  }
  const line = ([role, fingerprint, age, expiry]: string[]) =>
    `${role!.padEnd(7)} ${fingerprint!.padEnd(17)} ${age!.padEnd(9)} ${expiry}\n`;
  print(rows.map(line).join(""));
}

/** Prints the active key's fingerprint. */
export function printFingerprint(command: Omit<KeyCommand, "rotationTime">): void {
  withKey(command, command.keyFile, ({ fingerprint }) => print(`${fingerprint}\n`));
}

/** Removes incomplete files left behind by runs of mungekey that were killed. */
export function removeLeftovers(keyFile: string): void {
  const pattern = /^(?:\.next|\.old)?\.(\d+)\.tmp$/;
  let names: string[];
  try {
    names = readdirSync(dirname(keyFile));
  } catch {
    return; // the command itself will report the problem with the directory
  }
  for (const name of names) {
    if (!name.startsWith(basename(keyFile))) continue;
    const match = pattern.exec(name.slice(basename(keyFile).length));
    if (match !== null && !isRunning(Number(match[1]))) unlinkSync(join(dirname(keyFile), name));
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** Calls `use` with a key that has passed munged's checks, then wipes the key. */
function withKey<T>(
  command: Pick<KeyCommand, "program" | "force">,
  path: string,
  use: (key: StoredKey) => T,
): T {
  const bytes = readKeyFile(path, { force: command.force, trustedGroup: null }, {
    warning: (text) => reportWarning(command.program, text),
  });
  try {
    const since = Math.floor(lstatSync(path).mtimeMs / 1000);
    return use({ bytes, fingerprint: fingerprintOf(bytes), since });
  } finally {
    bytes.fill(0);
  }
}

/** {@linkcode withKey} for the old key; undefined if there is none. */
function withOldKey<T>(command: KeyCommand, use: (key: StoredKey) => T): T | undefined {
  const path = keyPath(command.keyFile, "old");
  return existsSync(path) ? withKey(command, path, use) : undefined;
}

/** Refuses to invalidate credentials made with the old key before they expire. */
function refuseWhileCounting(command: KeyCommand, action: string, path: string): void {
  if (command.force) return;
  withOldKey(command, ({ fingerprint, since }) => {
    const expiry = retiredKeyExpiry(since, seconds(), command.rotationTime);
    if (expiry <= seconds()) return;
    refuse(
      `Failed to ${action} "${path}": key ${fingerprint} still decodes until ` +
        `${formatTime(expiry)} (--force drops it now)`,
    );
  });
}

function fingerprintOf(bytes: Uint8Array): string {
  const subkeys = deriveSubkeys(bytes, primitives);
  try {
    return keyFingerprint(subkeys);
  } finally {
    wipeSubkeys(subkeys);
  }
}

function attempt(action: string, path: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    refuse(`Failed to ${action} "${path}": ${systemText(error)}`);
  }
}

function report({ program, verbose }: KeyCommand, text: string): void {
  if (verbose) printError(`${program}: Info: ${text}\n`);
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}

function formatTime(time: number): string {
  return formatLocalTime(time, "%Y-%m-%d %H:%M:%S %z");
}

function expiryText({ rotationTime }: KeyCommand, since: number): string {
  const expiry = retiredKeyExpiry(since, seconds(), rotationTime);
  return `${formatTime(expiry)}${expiry <= seconds() ? " (over)" : ""}`;
}

/** An age in the largest unit that fits at least twice: `90 min`, `36 h`, `12 d`. */
function formatAge(age: number): string {
  for (const [unit, length] of [["d", 86_400], ["h", 3600], ["min", 60]] as const) {
    if (age >= 2 * length) return `${Math.floor(age / length)} ${unit}`;
  }
  return `${age} s`;
}
