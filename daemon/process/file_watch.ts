// Noticing changed files: the kernel says so, and where it can't (a network's file systems, another system than
// Linux) they are looked at every minute. While nothing changes nothing here runs.
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { type Inotify, openInotify } from "../../lib/os/inotify.ts";
import { close } from "../../lib/os/socket.ts";
import { systemText } from "../../lib/os/system_text.ts";
import type { Logger } from "./log.ts";

/** Who changes one file often changes others: they are looked at together. */
const SETTLE_MS = 250;
const LOOK_MS = 60_000;

/** File systems whose files other hosts change unseen, by the numbers of statfs(2). */
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
  /** Directories whose files matter, or will once they exist. */
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
      log.warning(`Failed to watch files, which are looked at every minute: ${systemText(error)}`);
    }
    if (this.#inotify !== null) void this.#read(this.#inotify.fd);
  }

  /**
   * Calls `changed` whenever something in one of the directories may have changed; and once in any case, for what
   * has changed by now.
   */
  add(directories: () => readonly string[], changed: () => void): void {
    this.#watched.push({ directories, changed });
    this.#arm();
    this.#notifySoon();
  }

  /** Watches no more. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#settling);
    clearInterval(this.#looking);
    if (this.#inotify !== null) close(this.#inotify.fd);
    this.#inotify = null;
  }

  /** Watches the directories as they are now: some may have been made, removed or replaced. */
  #arm(): void {
    let isBlind = false;
    for (const { directories } of this.#watched) {
      for (const directory of directories()) {
        if (!this.#watch(directory)) isBlind = true;
      }
    }
    if (isBlind === (this.#looking !== undefined)) return;
    clearInterval(this.#looking);
    this.#looking = isBlind ? setInterval(() => this.#notify(), LOOK_MS) : undefined;
  }

  /** Watches a directory, or what is there of the path to it; false if that will not tell all. */
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
    return true; // nobody knows
  }
}
