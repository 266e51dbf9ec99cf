// The replay cache's directory as it is used while munged runs: a journal for each minute, named by it, and
// spare files whose space is set aside for the minutes to come. Who may use the directory is directory.ts's.
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { lastDescriptors } from "../../../lib/os/process.ts";
import { allocateSpace, reserveSpace } from "../../../lib/os/positioned_write.ts";
import { FIRST_BYTES, startJournal } from "./journal.ts";

const FILE_MODE = 0o600;
/** Descriptors that tables leave to clients, and to what has to be opened for a moment. */
const SPARE_DESCRIPTORS = 10;
/** Minutes whose first journal space is set aside. */
const SPARE_FILES = 8;

/** The journal of a minute. */
export function journalPath(directory: string, minute: number): string {
  return join(directory, String(minute));
}

function sparePath(directory: string, number: number): string {
  return join(directory, `spare.${number}`);
}

/** The minutes that there are files for, whatever is in them, and whether each is a regular file. */
export function listJournals(directory: string): { minute: number; isFile: boolean }[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter(({ name }) => /^\d{1,9}$/.test(name))
    .map((file) => ({ minute: Number(file.name), isFile: file.isFile() }));
}

/** Refuses one of the last descriptors: without those no thread could be started any more. */
function requireSpare(fd: number): void {
  if (fd >= lastDescriptors(SPARE_DESCRIPTORS)) throw new Error("Too many open files");
}

/**
 * Descriptor of the file that there is for a minute, or null for none.
 *
 * @throws {NotAJournal} for a file that munged did not make.
 * @throws the system's error when it can't be opened: then nobody knows what is in it.
 */
export function openJournalFile(directory: string, minute: number): number | null {
  const path = journalPath(directory, minute);
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return null;
    if (code === "EISDIR" || code === "ELOOP" || code === "ENXIO") throw new NotAJournal(path);
    throw error;
  }
  try {
    requireSpare(fd);
    const stats = fstatSync(fd);
    const isOurs = stats.uid === process.geteuid!() && (stats.mode & 0o077) === 0;
    if (!stats.isFile() || !isOurs) throw new NotAJournal(path);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** There is something else in a journal's place. */
export class NotAJournal extends Error {
  constructor(path: string) {
    super(`"${path}" is no replay journal`);
  }
}

/**
 * Descriptor of a new journal, made of a spare file while there is one.
 *
 * @throws the system's error when there is no space for it.
 */
export function createJournalFile(directory: string, minute: number, secret: Int32Array): number {
  const path = journalPath(directory, minute);
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const isSpare = takeSpare(directory, path);
  const flags = isSpare ? O_RDWR | O_NOFOLLOW : O_RDWR | O_CREAT | O_EXCL;
  const fd = openSync(path, flags, FILE_MODE);
  try {
    requireSpare(fd);
    if (!isSpare) reserveSpace(fd, 0, FIRST_BYTES);
    startJournal(fd, minute, secret);
    return fd;
  } catch (error) {
    closeSync(fd);
    rmSync(path, { force: true });
    throw error;
  }
}

function takeSpare(directory: string, path: string): boolean {
  for (let number = 0; number < SPARE_FILES; number++) {
    try {
      renameSync(sparePath(directory, number), path);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  return false;
}

/** Has there be all spare files. @throws the system's error when there is no space for one. */
export function makeSpares(directory: string): void {
  const { O_RDWR, O_CREAT, O_EXCL } = constants;
  for (let number = 0; number < SPARE_FILES; number++) {
    const path = sparePath(directory, number);
    let fd: number;
    try {
      fd = openSync(path, O_RDWR | O_CREAT | O_EXCL, FILE_MODE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") continue;
      throw error;
    }
    try {
      allocateSpace(fd, FIRST_BYTES);
    } catch (error) {
      rmSync(path, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
  }
}

/** Has new names in the directory reach the disk. */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, constants.O_RDONLY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
