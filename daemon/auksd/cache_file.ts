// One user's file in CacheDir: its name, and how it is replaced in one step.
import {
  closeSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  renameSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { removeName } from "../../lib/files/replacement.ts";
import { exchangeNames } from "../../lib/os/exchange_names.ts";

const MODE = 0o600;

/** What the names of users' files begin with. */
export const PREFIX = "aukscc_";
/** Names of unfinished and of replaced files; the original's auksd ignores names that begin with a dot. */
export const UNFINISHED = /^\.aukscc_\d+\.new$/;

/** The name of a user's file. */
export function fileName(uid: number): string {
  return `${PREFIX}${uid}`;
}

/** A new file that has no user yet. */
interface NewFile {
  readonly path: string;
  readonly fd: number;
}

/** What protects a new file from a system crash. */
export type Safety = "journal" | "flush" | "none";

/** Replaces and removes users' files. For one thread only. */
export class CacheFiles {
  readonly #directory: string;
  #lastNumber = 0;
  /** The next new file, created in advance because that takes longest. */
  #prepared: NewFile | undefined;
  /** Files to remove: those that have been replaced, and those that could not be put in place. */
  readonly #toRemove: string[] = [];

  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Replaces a user's file, or creates it.
   *
   * @param safety what protects the new contents from a system crash: the journal, writing them to disk first, or nothing.
   * @throws {Error} the system's error; the old file then stays.
   */
  replace(uid: number, bytes: Uint8Array, safety: Safety): void {
    const { path, fd } = this.#take();
    const target = join(this.#directory, fileName(uid));
    let isExchanged = false;
    try {
      try {
        for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
        if (safety === "flush") fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      // On a rename over a file, ext4 and btrfs write the new contents to disk, which the journal makes unnecessary.
      isExchanged = safety === "journal" && isRegular(target) && exchangeNames(path, target);
      if (!isExchanged) renameSync(path, target);
    } catch (error) {
      this.#toRemove.push(path);
      throw error;
    }
    if (isExchanged) this.#toRemove.push(path);
  }

  /** Removes a user's file, which may already be gone. @throws {Error} the system's error. */
  remove(uid: number): void {
    removeName(join(this.#directory, fileName(uid)));
  }

  /** Removes what is no longer needed, and creates the next file. @throws {Error} the system's error. */
  prepare(): void {
    this.#tidy();
    this.#prepared ??= this.#create();
  }

  /** Leaves only the users' files. @throws {Error} the system's error. */
  close(): void {
    if (this.#prepared !== undefined) {
      closeSync(this.#prepared.fd);
      this.#toRemove.push(this.#prepared.path);
      this.#prepared = undefined;
    }
    this.#tidy();
  }

  #tidy(): void {
    for (let path = this.#toRemove.at(-1); path !== undefined; path = this.#toRemove.at(-1)) {
      removeName(path);
      this.#toRemove.pop();
    }
  }

  #take(): NewFile {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    if (prepared === undefined) return this.#create();
    if (fstatSync(prepared.fd).nlink > 0) return prepared;
    closeSync(prepared.fd); // someone has removed it
    return this.#create();
  }

  #create(): NewFile {
    const path = join(this.#directory, `.${PREFIX}${++this.#lastNumber}.new`);
    try {
      return { path, fd: openSync(path, "wx", MODE) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      removeName(path); // left by an earlier thread
      return { path, fd: openSync(path, "wx", MODE) };
    }
  }
}

/** Whether this is a file that can be replaced; for anything else, the rename reports the error. */
function isRegular(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
