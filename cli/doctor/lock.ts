// Which process holds the lock of munged's socket, according to the kernel. That process is not trusted: what it says about
// itself is bounded here, and nothing that it points to is run.
import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  statSync,
} from "node:fs";
import { lockFileBreach, lockPath } from "../../daemon/process/lock_file.ts";
import { lockHolder } from "../../lib/os/file_lock.ts";
import { systemCode } from "../../lib/os/system_text.ts";
import { getopt, GetoptError } from "../command_line/getopt.ts";
import { USAGE } from "../munged/options.ts";

/** The process that holds the socket's lock. */
export interface Holder {
  readonly pid: number;
  /** Undefined if hidden. */
  readonly name: string | undefined;
  readonly uid: number | undefined;
  readonly executable: string | undefined;
  /** Whether a signal stopped it. */
  readonly isStopped: boolean;
  /** Whether it is `mungebox container`, whose key comes from a secret. */
  readonly isContainer: boolean;
  /** munged's options on its command line, each `--name` or `--name=value`. */
  readonly options: readonly string[];
}

/** The socket's lock. */
export type Lock =
  | { readonly state: "free" }
  | { readonly state: "held"; readonly holder: Holder }
  /** Held by a process in another PID namespace, a container's or the host's. */
  | { readonly state: "held elsewhere" }
  | { readonly state: "hidden" }
  | { readonly state: "bad"; readonly breach: string };

/** Maximum number of bytes to read from a file in /proc. */
const MAX_PROC_LENGTH = 65_536;

/** Examines the lock of a socket. */
export function inspectLock(socketPath: string): Lock {
  const path = lockPath(socketPath);
  let fd: number;
  try {
    const stats = lstatSync(path);
    if (!stats.isFile()) return { state: "bad", breach: lockFileBreach(path, stats, stats.uid)! };
    fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = systemCode(error);
    return code === "ENOENT" || code === "ENOTDIR" ? { state: "free" } : { state: "hidden" };
  }
  try {
    const pid = lockHolder(fd);
    if (pid === null) return { state: "free" };
    return pid <= 0 ? { state: "held elsewhere" } : { state: "held", holder: describeProcess(pid) };
  } finally {
    closeSync(fd);
  }
}

function describeProcess(pid: number): Holder {
  let executable: string | undefined;
  try {
    executable = readlinkSync(`/proc/${pid}/exe`);
  } catch {
    // visible to its own user and root only
  }
  const words = readProc(pid, "cmdline")?.split("\0").slice(1, -1) ?? [];
  return {
    pid,
    name: readProc(pid, "comm")?.trimEnd(),
    uid: statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid,
    executable,
    isStopped: /^State:\s*[Tt]/m.test(readProc(pid, "status") ?? ""),
    isContainer: words[0] === "container",
    options: mungedOptions(words),
  };
}

function readProc(pid: number, name: string): string | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(`/proc/${pid}/${name}`, "r");
    const buffer = Buffer.alloc(MAX_PROC_LENGTH);
    return buffer.toString("latin1", 0, readSync(fd, buffer));
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** The options on munged's command line, one word each, however they were written. */
export function mungedOptions(words: readonly string[]): string[] {
  const options: string[] = [];
  try {
    getopt(USAGE.groups.flat(), words, {
      option: ({ long, argument }, value) =>
        options.push(argument === undefined ? `--${long}` : `--${long}=${value}`),
      parameter: () => {},
    });
  } catch (error) {
    if (!(error instanceof GetoptError)) throw error; // anything after it is not for munged
  }
  return options;
}
