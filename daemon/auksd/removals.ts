// Remembers each ticket that a user has removed until it would have expired, so that the other auksd of a pair,
// which may not know yet, can't bring them back. A file in CacheDir preserves them across restarts.
import { constants, existsSync, readFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { AuksError } from "../../lib/auks/errors.ts";
import { replaceFile } from "../../lib/files/replacement.ts";
import { systemText } from "../../lib/os/system_text.ts";

/** The original's auksd reads no file of this name. */
const NAME = ".auksd.removals";
const MODE = 0o600;
/** A line: UID, when the ticket was removed, and when it expires; zeros if it has been added again. */
const LINE = /^(\d+) (\d+) (\d+)$/;
/** The file is rewritten when it has this many more lines than it needs. */
const SPARE_LINES = 10_000;

/** A removed ticket; both times in seconds since the epoch. */
export interface Removal {
  readonly removedAt: number;
  /** When the ticket expires. */
  readonly until: number;
}

/** The removed tickets of one CacheDir, by their users. */
export class Removals {
  readonly #path: string;
  readonly #sync: boolean;
  readonly #byUid = new Map<number, Removal>();
  #file: FileHandle | undefined;
  #lines = 0;
  /** Settles when the last change is in the file. */
  #written: Promise<void> = Promise.resolve();

  /**
   * Reads the file, if there is one.
   *
   * @param sync whether changes must survive a system crash.
   * @throws {AuksError} REPO_CACHE_DIR_OPEN
   */
  constructor(directory: string, sync: boolean) {
    this.#path = join(directory, NAME);
    this.#sync = sync;
    try {
      this.#read();
      this.#rewrite();
    } catch (error) {
      throw new AuksError("REPO_CACHE_DIR_OPEN", `${this.#path}: ${systemText(error)}`);
    }
  }

  /** Whether the user removed a ticket at or after this start time. */
  covers(uid: number, starttime: number): boolean {
    return starttime <= (this.#byUid.get(uid)?.removedAt ?? -1);
  }

  /** When the ticket of each user was removed. */
  get all(): readonly (readonly [uid: number, removedAt: number])[] {
    return [...this.#byUid].map(([uid, { removedAt }]) => [uid, removedAt]);
  }

  /** Remembers a removal at once; it is in the file when the promise settles. @throws {Error} the system's error. */
  add(uid: number, removal: Removal): Promise<void> {
    this.#byUid.set(uid, removal);
    return this.#append(`${uid} ${removal.removedAt} ${removal.until}\n`);
  }

  /** Forgets one, because the user has added a ticket again. @throws {Error} the system's error. */
  async forget(uid: number): Promise<void> {
    if (this.#byUid.delete(uid)) await this.#append(`${uid} 0 0\n`);
  }

  /** Closes the file once everything is in it. */
  async close(): Promise<void> {
    await this.#written.catch(() => {});
    await this.#file?.close();
    this.#file = undefined;
  }

  #append(line: string): Promise<void> {
    const done = this.#written.catch(() => {}).then(async () => {
      if (this.#lines >= this.#byUid.size + SPARE_LINES) {
        await this.#file?.close();
        this.#file = undefined;
        this.#rewrite();
        return; // which includes this change
      }
      const { O_WRONLY, O_APPEND, O_NOFOLLOW } = constants;
      this.#file ??= await open(this.#path, O_WRONLY | O_APPEND | O_NOFOLLOW);
      await this.#file.appendFile(line);
      if (this.#sync) await this.#file.datasync();
      this.#lines++;
    });
    this.#written = done;
    return done;
  }

  #read(): void {
    if (!existsSync(this.#path)) return;
    for (const line of readFileSync(this.#path, "utf8").split("\n")) {
      // A line that a crash cut off was never acknowledged.
      const [, uid, removedAt, until] = LINE.exec(line) ?? [];
      if (uid === undefined) continue;
      this.#byUid.set(Number(uid), { removedAt: Number(removedAt), until: Number(until) });
    }
  }

  /** Rewrites the file without what has expired. */
  #rewrite(): void {
    const now = Date.now() / 1000;
    const lines: string[] = [];
    for (const [uid, { removedAt, until }] of this.#byUid) {
      if (until < now) this.#byUid.delete(uid);
      else lines.push(`${uid} ${removedAt} ${until}\n`);
    }
    const bytes = new TextEncoder().encode(lines.join(""));
    replaceFile(this.#path, bytes, { mode: MODE, isDurable: this.#sync });
    this.#lines = lines.length;
  }
}
