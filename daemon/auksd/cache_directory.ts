// CacheDir: one credential cache file per user, as in the original, so that either auksd can take over from the other. A
// separate thread writes it (files_thread.ts).
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { MAX_CCACHE_LENGTH } from "../../lib/auks/ccache.ts";
import { AuksError } from "../../lib/auks/errors.ts";
import { secretBytes } from "../../lib/bytes/secret.ts";
import { syncDirectory } from "../../lib/files/directory_sync.ts";
import { checkFile } from "../../lib/files/security.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { threadFile } from "../../lib/os/thread_file.ts";
import { CacheFiles, fileName, PREFIX, UNFINISHED } from "./cache_file.ts";
import { readWriteAhead, removeWriteAhead } from "./write_ahead.ts";

/** What the thread starts with. */
export interface FilesThreadData {
  readonly directory: string;
}

/** An order: write a file or, without bytes, remove it. */
export interface FileOrder {
  readonly id: number;
  readonly uid: number;
  readonly bytes?: Uint8Array;
  /** Whether to acknowledge it only once it would survive a system crash. */
  readonly sync: boolean;
}

/** Its outcome; success unless there is a failure. */
export interface FileReport {
  readonly id: number;
  readonly failure?: string;
}

/** A CacheDir in use. */
export class CacheDirectory {
  readonly path: string;
  /** Whether acknowledged files must survive a system crash. */
  sync: boolean;
  readonly #waiting = new Map<number, (report: FileReport) => void>();
  #worker: Worker | undefined;
  #lastId = 0;

  constructor(path: string, sync: boolean) {
    this.path = path;
    this.sync = sync;
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
      if ((stats.mode & 0o022) !== 0) {
        throw new Error(
          "Others may write there: its mode must not be more than 0755, and should be 0700",
        );
      }
      if ((stats.mode & 0o077) !== 0) {
        warnings.push(`CacheDir ${this.path} should have the mode 0700`);
      }
      // Its owner, and that of any directory above it, could read and replace every ticket.
      checkFile("auksCache", join(this.path, PREFIX), { force: false, trustedGroup: null }, {
        warning: (text) => warnings.push(text),
      });
      const probe = join(this.path, ".auksd.probe");
      rmSync(probe, { force: true });
      closeSync(openSync(probe, "wx", 0o600)); // never through a link, which another user could have put there
      unlinkSync(probe);
      return warnings;
    } catch (error) {
      throw new AuksError("REPO_CACHE_DIR_OPEN", `${this.path}: ${systemText(error)}`);
    }
  }

  /**
   * Names of the users' files. Before the first write, also removes what a killed auksd left unfinished, and restores
   * what the files lost in a system crash.
   *
   * @throws {AuksError} REPO_CACHE_DIR_OPEN
   */
  names(): string[] {
    try {
      if (this.#worker === undefined) recover(this.path);
      const names = readdirSync(this.path);
      return names.filter((name) => name.startsWith(PREFIX));
    } catch (error) {
      throw new AuksError("REPO_CACHE_DIR_OPEN", `${this.path}: ${systemText(error)}`);
    }
  }

  /** Whether there is a file of this name. */
  has(name: string): boolean {
    return statSync(join(this.path, name), { throwIfNoEntry: false }) !== undefined;
  }

  /** The contents of a file, which the caller wipes. @throws {Error} the system's error. */
  read(name: string): Uint8Array {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    const fd = openSync(join(this.path, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const stats = fstatSync(fd);
      if (!stats.isFile()) throw new Error("Not a regular file");
      if (stats.size > MAX_CCACHE_LENGTH) throw new Error(`It has ${stats.size} bytes`);
      const bytes = secretBytes(stats.size);
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
    const { failure } = await this.#order({ id: ++this.#lastId, uid, bytes, sync: this.sync });
    if (failure !== undefined) {
      throw new AuksError("KRB5_STORE", `${join(this.path, fileName(uid))}: ${failure}`);
    }
  }

  /** Removes a user's file, which may already be gone. @throws {AuksError} REPO_UNLINK */
  async remove(uid: number): Promise<void> {
    const { failure } = await this.#order({ id: ++this.#lastId, uid, sync: this.sync });
    if (failure !== undefined) {
      throw new AuksError("REPO_UNLINK", `${join(this.path, fileName(uid))}: ${failure}`);
    }
  }

  /** Ends the thread once all orders have been carried out. */
  async stop(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    await new Promise<void>((resolve) => {
      worker.on("message", (message: unknown) => {
        if (message === "stopped") resolve();
      });
      worker.on("exit", resolve);
      worker.postMessage("stop");
    });
    this.#worker = undefined;
    await worker.terminate();
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
    const workerData: FilesThreadData = { directory: this.path };
    const worker = new Worker(threadFile("daemon/auksd/files_thread.ts"), { workerData });
    worker.on("message", (reports: readonly FileReport[] | "stopped") => {
      if (reports === "stopped") return;
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

/** Restores what the files lost in a system crash, and removes what was left unfinished. */
function recover(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (UNFINISHED.test(name)) unlinkSync(join(directory, name));
  }
  const changes = readWriteAhead(directory);
  const files = new CacheFiles(directory);
  for (const { uid, bytes } of changes) {
    if (bytes === undefined) files.remove(uid);
    else files.replace(uid, bytes, "flush");
    bytes?.fill(0);
  }
  if (changes.length > 0) syncDirectory(directory);
  removeWriteAhead(directory);
}
