// Fallbacks for clients where libc can't be called, because memory must not be both writable and executable (systemd's
// MemoryDenyWriteExecute=, SELinux): the system's own programs answer instead, and a copy of ourselves asks munged. This is
// slower, but gives the same answers.
import { IS_COMPILED } from "./thread_file.ts";

/** Maximum length of a system program's output. */
const MAX_OUTPUT = 4 << 20;
/** The mark on standard output of a child to which munged closed the connection. */
export const HANGUP = "closed";

/** The directories of the system's programs. The caller's PATH might lead to others, which root must not run. */
const SYSTEM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin";

/** Runs a system program. Returns the first line of its output, or undefined if it fails. */
function firstLine(...command: readonly string[]): string | undefined {
  const { status, stdout } = childProcess().spawnSync(command[0]!, command.slice(1), {
    env: { ...process.env, PATH: SYSTEM_PATH },
    stdio: ["pipe", "pipe", "pipe"],
    maxBuffer: MAX_OUTPUT,
  });
  return status === 0 ? stdout.toString("latin1").split("\n", 1)[0] : undefined;
}

/**
 * A record of the name service, as from getpwnam(3) and related functions.
 *
 * @param key a name, or an ID.
 * @returns its fields, undefined if there is none.
 */
export function nameServiceRecord(
  database: "passwd" | "group",
  key: string | number,
): string[] | undefined {
  const line = firstLine("getent", database, "--", String(key));
  if (line === undefined || line === "") return undefined;
  // getent treats a name that consists of digits as an ID, so its record may have another name.
  const fields = line.split(":");
  return fields[typeof key === "number" ? 2 : 0] === String(key) ? fields : undefined;
}

/** The name of the host with an IPv4 address, as from gethostbyaddr(3). */
export function hostNameOf(address: string): string | undefined {
  return firstLine("getent", "hosts", "--", address)?.split(/\s+/)[1];
}

/** A time formatted as by strftime(3), in the local time zone. */
export function localTime(seconds: number, format: string): string | undefined {
  return firstLine("date", `--date=@${seconds}`, `+${format}`);
}

/**
 * Sends a message to munged from a copy of ourselves, `mungebox transact`, which runs as the same user.
 *
 * @param message the message for the first attempt.
 * @param responseType type byte of the response.
 * @param maxLength maximum length of its body.
 * @returns the response's body, or the error's number and text, and whether munged closed the connection.
 */
export function transactInChild(
  socketPath: string,
  message: Uint8Array,
  responseType: number,
  maxLength: number,
): Uint8Array | { readonly errno: number; readonly text: string; readonly isHangup: boolean } {
  const program = IS_COMPILED ? [] : [Bun.main];
  const { status, stdout, stderr, error } = childProcess().spawnSync(
    process.execPath,
    [...program, "transact", String(responseType), socketPath],
    { argv0: "mungebox", input: message, maxBuffer: maxLength, stdio: ["pipe", "pipe", "pipe"] },
  );
  if (status === 0) return stdout;
  const isHangup = stdout.toString() === HANGUP;
  return { errno: status ?? 1, text: error?.message ?? stderr.toString(), isHangup };
}

function childProcess(): typeof import("node:child_process") {
  return process.getBuiltinModule("node:child_process");
}
