// Notices changed files: through the kernel or, where it can't tell (network file systems, systems other than Linux),
// by checking every minute. While nothing changes, nothing here runs.
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { type Inotify, openInotify } from "../../lib/os/inotify.ts";
import { close } from "../../lib/os/socket.ts";
import { systemText } from "../../lib/os/system_text.ts";
import type { Logger } from "./log.ts";

/** Changes often come in groups; wait this long to handle them together. */
const SETTLE_MS = 250;
const POLL_MS = 60_000;

/** File systems that other hosts may change without the kernel noticing, by their numbers in statfs(2). */
const REMOTE: ReadonlySet<number> = new Set([
  0x6969, // NFS
  0xff53_4d42, // CIFS
  0xfe53_4d42, // SMB2
  0x517b, // SMB
  0x0102_1997, // 9P
  0x6573_5546, // FUSE
  0x0bd0_0bd0, // Lustre
  0x4750_4653, // GPFS
  0x00c3_6400, // Ceph
  0x5346_414f, // AFS
  0x0116_1970, // GFS2
  0x7461_636f, // OCFS2
]);

interface Watched {
  /** Directories to watch, some of which may not exist yet. */
  readonly directories: () => readonly string[];
  readonly changed: () => void;
}

/** Watches directories until it is closed. */
export class FileWatch {
  readonly #log: Logger;
  readonly #watched: Watched[] = [];
  #inotify: Inotify | null = null;
  #settling: NodeJS.Timeout | undefined;
  #looking: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(log: Logger) {
    this.#log = log;
    try {
      this.#inotify = openInotify();
    } catch (error) {
      log.warning(`Failed to watch files, so they are checked every minute: ${systemText(error)}`);
    }
    if (this.#inotify !== null) void this.#read(this.#inotify.fd);
  }

  /**
   * Calls `changed` whenever something in one of the directories may have changed, and once at the start, in case
   * something already has.
   */
  add(directories: () => readonly string[], changed: () => void): void {
    this.#watched.push({ directories, changed });
    this.#arm();
    this.#notifySoon();
  }

  /** Stops watching. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#settling);
    clearInterval(this.#looking);
    if (this.#inotify !== null) close(this.#inotify.fd);
    this.#inotify = null;
  }

  /** Watches the current directories, as some may have been created, removed or replaced. */
  #arm(): void {
    let isBlind = false;
    for (const { directories } of this.#watched) {
      for (const directory of directories()) {
        if (!this.#watch(directory)) isBlind = true;
      }
    }
    if (isBlind === (this.#looking !== undefined)) return;
    clearInterval(this.#looking);
    this.#looking = isBlind ? setInterval(() => this.#notify(), POLL_MS) : undefined;
  }

  /** Watches a directory, or the nearest existing one above it; false if that can miss changes. */
  #watch(directory: string): boolean {
    if (this.#inotify === null) return false;
    for (let path = directory;; path = dirname(path)) {
      if (this.#inotify.watch(path)) return !isRemote(path);
      if (path === dirname(path)) return false;
    }
  }

  async #read(fd: number): Promise<void> {
    try {
      for await (const _events of Bun.file(fd).stream()) this.#notifySoon();
    } catch (error) {
      if (this.#isClosed) return;
      this.#inotify = null;
      this.#log.warning(`Failed to watch files: ${systemText(error)}`);
      this.#arm();
    }
  }

  #notifySoon(): void {
    this.#settling ??= setTimeout(() => {
      this.#settling = undefined;
      this.#notify();
    }, SETTLE_MS);
  }

  #notify(): void {
    this.#arm();
    for (const { changed } of this.#watched) changed();
  }
}

function isRemote(path: string): boolean {
  try {
    return REMOTE.has(statfsSync(path).type >>> 0);
  } catch {
    return true; // unknown
  }
}
