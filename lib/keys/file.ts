// Reads the key that all hosts of a realm share.
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { MungeError } from "../errors.ts";
import { MAX_KEY_LENGTH, MIN_KEY_LENGTH } from "../credential/subkeys.ts";
import { isMountedReadOnly, isOnReadOnlyMount } from "../os/mounts.ts";
import { systemText } from "../os/system_text.ts";
import { checkFile, type SecurityRules, type WarningLog } from "../files/security.ts";

/**
 * Checks a key file and returns its bytes, which the caller wipes.
 *
 * @param newBytes allocates memory for them.
 * @throws {MungeError} when the file is missing, insecure, unreadable, too short or too long.
 */
export function readKeyFile(
  path: string,
  rules: SecurityRules,
  logger: WarningLog,
  newBytes: (length: number) => Uint8Array = (length) => new Uint8Array(length),
): Uint8Array {
  const isSecret = rules.mountedSecrets === true && isMountedReadOnly(path);
  const checked = checkFile(isSecret ? "secret" : "key", path, rules, logger);
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  let fd: number;
  try {
    fd = openSync(path, O_RDONLY | O_NONBLOCK | (rules.force || isSecret ? 0 : O_NOFOLLOW));
  } catch (error) {
    throw failure("open", path, error);
  }
  let key: Uint8Array | undefined;
  try {
    const opened = fstatSync(fd);
    if (!isSame(opened, checked) || (isSecret && !isOnReadOnlyMount(fd))) {
      throw new Error("File changed while it was opened");
    }
    requireKeyLength(opened.size);
    key = newBytes(opened.size);
    readWhole(fd, key);
    return key;
  } catch (error) {
    key?.fill(0);
    if (error instanceof MungeError) throw error;
    throw failure("read", path, error);
  } finally {
    closeSync(fd);
  }
}

/** Whether the file opened is the file checked: another user may have replaced it in between. */
function isSame(opened: Stats, checked: Stats | undefined): boolean {
  const attributes = ["dev", "ino", "mode", "uid"] as const;
  return opened.isFile() && attributes.every((name) => opened[name] === checked?.[name]);
}

function requireKeyLength(length: number): void {
  if (length < MIN_KEY_LENGTH) {
    throw new MungeError("EMUNGE_SNAFU", `Keyfile must be at least ${MIN_KEY_LENGTH} bytes`);
  }
  if (length > MAX_KEY_LENGTH) {
    throw new MungeError("EMUNGE_SNAFU", `Keyfile must be at most ${MAX_KEY_LENGTH} bytes`);
  }
}

function readWhole(fd: number, target: Uint8Array): void {
  for (let length = 0; length < target.length;) {
    const count = readSync(fd, target, length, target.length - length, null);
    if (count === 0) throw new Error("File was truncated while it was read");
    length += count;
  }
}

function failure(action: string, path: string, error: unknown): MungeError {
  const text = `Failed to ${action} keyfile "${path}": ${systemText(error)}`;
  return new MungeError("EMUNGE_SNAFU", text, { cause: error });
}
