// CacheDir: one credential cache file per user, as in the original, so that either auksd can take over from the other. A
// separate thread writes it (files_thread.ts).
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { MAX_CCACHE_LENGTH } from "../../lib/auks/ccache.ts";
import { AuksError } from "../../lib/auks/errors.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { threadFile } from "../../lib/os/thread_file.ts";

const PREFIX = "aukscc_";
const UNFINISHED = /^\.aukscc_\d+\.new$/;

/** The name of a user's file. */
export function fileName(uid: number): string {
  return `${PREFIX}${uid}`;
}

/** Temporary name while writing; the original's auksd ignores names that begin with a dot. */
export function unfinishedName(uid: number): string {
  return `.${fileName(uid)}.new`;
}

/** What the thread starts with. */
export interface FilesThreadData {
  readonly directory: string;
  /** Whether files must be safe from a system crash before they are acknowledged. */
  readonly sync: boolean;
}

/** An order: write a file or, without bytes, remove it. */
export interface FileOrder {
  readonly id: number;
  readonly uid: number;
  readonly bytes?: Uint8Array;
}

/** Its outcome; success unless there is a failure. */
export interface FileReport {
  readonly id: number;
  readonly failure?: string;
}

/** A CacheDir in use. */
export class CacheDirectory {
  readonly path: string;
  readonly #sync: boolean;
  readonly #waiting = new Map<number, (report: FileReport) => void>();
  #worker: Worker | undefined;
  #lastId = 0;

  /** @param sync whether acknowledged files must survive a system crash. */
  constructor(path: string, sync: boolean) {
    this.path = path;
    this.#sync = sync;
  }

  /**
   * Checks that files can be created in it, and that no other user can read them.
   *
   * @returns problems that do not keep auksd from working.
   * @throws {AuksError} REPO_CACHE_DIR_OPEN
   */
  check(): string[] {
    try {
      const stats = statSync(this.path);
      if (!stats.isDirectory()) throw new Error("Not a directory");
      const warnings: string[] = [];
      if (stats.uid !== process.geteuid!()) {
        warnings.push(`CacheDir ${this.path} belongs to UID ${stats.uid}`);
      }
      if ((stats.mode & 0o022) !== 0) {
        throw new Error(
          "Others may write there: its mode must not be more than 0755, and should be 0700",
        );
      }
      if ((stats.mode & 0o077) !== 0) {
        warnings.push(`CacheDir ${this.path} should have the mode 0700`);
      }
      const probe = join(this.path, ".aukscc_0.new");
      closeSync(openSync(probe, "w", 0o600));
      unlinkSync(probe);
      return warnings;
    } catch (error) {
      throw new AuksError("REPO_CACHE_DIR_OPEN", `${this.path}: ${systemText(error)}`);
    }
  }

  /** Names of the users' files; removes unfinished ones. @throws {AuksError} */
  names(): string[] {
    try {
      const names = readdirSync(this.path);
      for (const name of names) if (UNFINISHED.test(name)) unlinkSync(join(this.path, name));
      return names.filter((name) => name.startsWith(PREFIX));
    } catch (error) {
      throw new AuksError("REPO_CACHE_DIR_OPEN", `${this.path}: ${systemText(error)}`);
    }
  }

  /** The contents of a file, which the caller wipes. @throws {Error} the system's error. */
  read(name: string): Uint8Array {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    const fd = openSync(join(this.path, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const stats = fstatSync(fd);
      if (!stats.isFile()) throw new Error("Not a regular file");
      if (stats.size > MAX_CCACHE_LENGTH) throw new Error(`It has ${stats.size} bytes`);
      const bytes = new Uint8Array(stats.size);
      let length = 0;
      for (let count = 1; count > 0 && length < bytes.length; length += count) {
        count = readSync(fd, bytes, length, bytes.length - length, null);
      }
      return bytes.subarray(0, length);
    } finally {
      closeSync(fd);
    }
  }

  /**
   * Replaces a user's file, if any. It is in place once the promise settles.
   *
   * @param bytes handed over to the thread.
   * @throws {AuksError} KRB5_STORE; the old file then stays.
   */
  async write(uid: number, bytes: Uint8Array): Promise<void> {
    const { failure } = await this.#order({ id: ++this.#lastId, uid, bytes });
    if (failure !== undefined) {
      throw new AuksError("KRB5_STORE", `${join(this.path, fileName(uid))}: ${failure}`);
    }
  }

  /** Removes a user's file, which may already be gone. @throws {AuksError} REPO_UNLINK */
  async remove(uid: number): Promise<void> {
    const { failure } = await this.#order({ id: ++this.#lastId, uid });
    if (failure !== undefined) {
      throw new AuksError("REPO_UNLINK", `${join(this.path, fileName(uid))}: ${failure}`);
    }
  }

  /** Settles when all orders have been carried out, and ends the thread. */
  async stop(): Promise<void> {
    while (this.#waiting.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #order(order: FileOrder): Promise<FileReport> {
    return new Promise((resolve) => {
      this.#waiting.set(order.id, resolve);
      this.#worker ??= this.#start();
      // Transferred, not copied, so that no copy of the keys remains.
      this.#worker.postMessage(
        order,
        order.bytes === undefined ? [] : [order.bytes.buffer as ArrayBuffer],
      );
    });
  }

  #start(): Worker {
    const workerData: FilesThreadData = { directory: this.path, sync: this.#sync };
    const worker = new Worker(threadFile("daemon/auksd/files_thread.ts"), { workerData });
    worker.on("message", (reports: readonly FileReport[]) => {
      for (const report of reports) this.#settle(report);
    });
    const died = (failure: string) => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      for (const id of this.#waiting.keys()) this.#settle({ id, failure });
    };
    worker.on("error", (error) => died(error.message));
    worker.on("exit", () => died("The thread that writes files ended"));
    worker.unref();
    return worker;
  }

  #settle(report: FileReport): void {
    this.#waiting.get(report.id)?.(report);
    this.#waiting.delete(report.id);
  }
}
