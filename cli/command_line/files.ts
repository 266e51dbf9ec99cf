// The files that munge, unmunge and mungekey read and write: `-` for the standard streams, bounded reads, and outputs that
// are replaced atomically.
import type { Stats } from "node:fs";
import { isReaderGone, wasOpenAtStart, writeWhole } from "../../lib/os/standard_streams.ts";
import { MungeError } from "../../lib/errors.ts";
import { fs, paths } from "../../lib/os/file_system.ts";
import { EBADF, SystemError } from "../../lib/os/libc.ts";
import { realPath } from "../../lib/os/real_path.ts";
import { systemText } from "../../lib/os/system_text.ts";
import {
  abandonReplacement,
  commitReplacement,
  createReplacement,
  type Replacement,
} from "../../lib/files/replacement.ts";
import { refuse } from "./values.ts";

/**
 * Reads a whole file, or standard input for `-`.
 *
 * @param limit maximum number of bytes.
 * @param askLimit returns the actual maximum, which may be higher; called only if the input is longer than `limit`.
 * @throws {MungeError} with exit status 1 if it can't be read or is longer.
 */
export function readInput(
  path: string,
  limit: number,
  askLimit: () => number = () => limit,
): Uint8Array {
  let fd = 0;
  if (path === "-") {
    if (!wasOpenAtStart(0)) refuse("Failed to read");
  } else {
    try {
      fd = fs().openSync(path, "r");
    } catch (error) {
      refuse(`Failed to read from "${path}": ${systemText(error)}`);
    }
  }
  let buffer = new Uint8Array(4096);
  let length = 0;
  let most = limit;
  try {
    for (;;) {
      if (length === buffer.length) {
        const larger = new Uint8Array(Math.min(buffer.length * 4, most + 1));
        larger.set(buffer);
        buffer.fill(0);
        buffer = larger;
      }
      const count = fs().readSync(fd, buffer, length, buffer.length - length, null);
      if (count === 0) return buffer.subarray(0, length);
      length += count;
      if (length > limit && most === limit) most = askLimit();
      if (length > most) break;
    }
  } catch (error) {
    if (error instanceof MungeError) throw error;
    refuse("Failed to read");
  } finally {
    if (fd !== 0) fs().closeSync(fd);
  }
  refuse(`Input size exceeded maximum of ${most}`);
}

/** Refuses an output that is also the input, because the first byte written would destroy the input. */
export function refuseSameFile(input: string, output: string): void {
  if (input === "-" || output === "-") return;
  const read = fs().statSync(input, { throwIfNoEntry: false });
  const written = fs().statSync(output, { throwIfNoEntry: false });
  if (read === undefined || written === undefined || !read.isFile()) return;
  if (read.dev === written.dev && read.ino === written.ino) {
    refuse(`Cannot read and write to the same file "${output}"`);
  }
}

const EACCES = 13;

/**
 * Whether another user created the file in a directory where anyone may create files, such as /tmp: the output would then
 * be theirs. The kernel refuses to open such a file (fs.protected_regular, fs.protected_fifos), but not to replace it.
 */
function isPlanted(status: Stats, target: string): boolean {
  if (!status.isFile() && !status.isFIFO()) return false;
  const directory = fs().statSync(paths().dirname(target));
  const isShared = (directory.mode & 0o1000) !== 0 && (directory.mode & 0o022) !== 0;
  return isShared && status.uid !== process.geteuid!() && status.uid !== directory.uid;
}

/**
 * A replacement for the file at `path`, or undefined if it must be written in place, because it is not a regular file,
 * has other links, or can't keep its owner.
 */
function openReplacement(path: string): Replacement | undefined {
  if (path === "") return undefined; // opening it will report the error
  const status = fs().statSync(path, { throwIfNoEntry: false });
  if (status === undefined) {
    const dangling = fs().lstatSync(path, { throwIfNoEntry: false }) !== undefined;
    return dangling ? undefined : createReplacement(path, 0o666);
  }
  const target = realPath(path);
  if (isPlanted(status, target)) throw new SystemError("open", EACCES);
  if (!status.isFile() || status.nlink > 1) return undefined;
  fs().accessSync(path, fs().constants.W_OK);
  let replacement: Replacement;
  try {
    replacement = createReplacement(target, 0o600);
  } catch {
    return undefined; // the file is writable, but its directory is not
  }
  try {
    fs().fchownSync(replacement.fd, status.uid, status.gid);
    fs().fchmodSync(replacement.fd, status.mode & 0o7777);
    return replacement;
  } catch {
    abandonReplacement(replacement);
    return undefined;
  }
}

/**
 * Size of the C library's output buffer. For an output that fits into it, the reference notices errors only on closing, and
 * ignores that the reader is gone.
 */
const STDIO_BUFFER = 4096;

/** An output that could not be written and was too long for the C library to notice only on closing. */
export class WriteError extends Error {
  override readonly name = "WriteError";
}

/**
 * An output, opened before anything else happens, so that an unwritable path is noticed at once. {@linkcode Output.close}
 * replaces a regular file atomically; until then, the file is untouched.
 */
export class Output {
  private readonly fd: number;
  private readonly replacement: Replacement | undefined;
  private length = 0;

  /**
   * @param path of the file, or `-` for standard output.
   * @throws {MungeError} with exit status 1 if it can't be opened.
   */
  constructor(path: string) {
    try {
      this.replacement = path === "-" ? undefined : openReplacement(path);
      this.fd = this.replacement?.fd ?? (path === "-" ? 1 : fs().openSync(path, "w"));
    } catch (error) {
      refuse(`Failed to write to "${path}": ${systemText(error)}`);
    }
  }

  /**
   * Writes all of `bytes`; if that fails, a regular file stays as it was.
   *
   * @throws {WriteError} with the system's text if the output is long.
   * @throws the system's error if it is short, unless the error is that the reader is gone.
   */
  write(bytes: Uint8Array): void {
    if (this.fd === 1 && !wasOpenAtStart(1)) throw new SystemError("write", EBADF);
    this.length += bytes.length;
    try {
      writeWhole(this.fd, bytes);
    } catch (error) {
      const isShort = this.length < STDIO_BUFFER;
      if (isShort && isReaderGone(error)) return;
      this.abandon();
      throw isShort ? error : new WriteError(systemText(error));
    }
  }

  /** Completes the output; only now does a regular file contain it. @throws the system's error. */
  close(): void {
    if (this.replacement !== undefined) commitReplacement(this.replacement);
    else if (this.fd !== 1) fs().closeSync(this.fd);
  }

  /** Discards the output, and leaves a regular file as it was. */
  abandon(): void {
    if (this.replacement !== undefined) abandonReplacement(this.replacement);
    else if (this.fd !== 1) fs().closeSync(this.fd);
  }
}
