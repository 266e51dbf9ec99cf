// The files in the replay cache's directory: a journal for each minute, named after it, and spare files with reserved space
// for the coming minutes. directory.ts decides who may use the directory.
import { fs } from "../../../lib/os/file_system.ts";
import { lastDescriptors } from "../../../lib/os/process.ts";
import { allocateSpace, reserveSpace } from "../../../lib/os/positioned_write.ts";
import { FIRST_BYTES, startJournal } from "./journal.ts";

const FILE_MODE = 0o600;
/** Descriptors that tables leave for clients and for files opened briefly. */
const SPARE_DESCRIPTORS = 10;
/** Number of minutes for which initial journal space is reserved. */
const SPARE_FILES = 8;

/** The journal of a minute. */
export function journalPath(directory: string, minute: number): string {
  return `${directory}/${minute}`;
}

function sparePath(directory: string, number: number): string {
  return `${directory}/spare.${number}`;
}

/** The minutes for which there is a file, whatever its contents, and whether each is a regular file. */
export function listJournals(directory: string): { minute: number; isFile: boolean }[] {
  return fs().readdirSync(directory, { withFileTypes: true })
    .filter(({ name }) => /^\d{1,9}$/.test(name))
    .map((file) => ({ minute: Number(file.name), isFile: file.isFile() }));
}

/** Refuses one of the last descriptors, because without them no more threads could start. */
function requireSpare(fd: number): void {
  if (fd >= lastDescriptors(SPARE_DESCRIPTORS)) throw new Error("Too many open files");
}

/**
 * Descriptor of the file for a minute, or null if there is none.
 *
 * @throws {NotAJournal} for a file that munged did not make.
 * @throws the system's error if it can't be opened; then its contents are unknown.
 */
export function openJournalFile(directory: string, minute: number): number | null {
  const path = journalPath(directory, minute);
  let fd: number;
  try {
    const { O_RDWR, O_NOFOLLOW, O_NONBLOCK } = fs().constants;
    fd = fs().openSync(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return null;
    if (code === "EISDIR" || code === "ELOOP" || code === "ENXIO") throw new NotAJournal(path);
    throw error;
  }
  try {
    requireSpare(fd);
    const stats = fs().fstatSync(fd);
    const isOurs = stats.uid === process.geteuid!() && (stats.mode & 0o077) === 0;
    if (!stats.isFile() || !isOurs) throw new NotAJournal(path);
    return fd;
  } catch (error) {
    fs().closeSync(fd);
    throw error;
  }
}

/** Something else is in a journal's place. */
export class NotAJournal extends Error {
  constructor(path: string) {
    super(`"${path}" is not a replay journal`);
  }
}

/**
 * Descriptor of a new journal, made from a spare file if there is one.
 *
 * @throws the system's error if there is no space for it.
 */
export function createJournalFile(directory: string, minute: number, secret: Int32Array): number {
  const path = journalPath(directory, minute);
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = fs().constants;
  const isSpare = takeSpare(directory, path);
  const flags = isSpare ? O_RDWR | O_NOFOLLOW : O_RDWR | O_CREAT | O_EXCL;
  const fd = fs().openSync(path, flags, FILE_MODE);
  try {
    requireSpare(fd);
    if (!isSpare) reserveSpace(fd, 0, FIRST_BYTES);
    startJournal(fd, minute, secret);
    return fd;
  } catch (error) {
    fs().closeSync(fd);
    fs().rmSync(path, { force: true });
    throw error;
  }
}

function takeSpare(directory: string, path: string): boolean {
  for (let number = 0; number < SPARE_FILES; number++) {
    try {
      fs().renameSync(sparePath(directory, number), path);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  return false;
}

/** Creates missing spare files. @throws the system's error if there is no space for one. */
export function makeSpares(directory: string): void {
  const { O_RDWR, O_CREAT, O_EXCL } = fs().constants;
  for (let number = 0; number < SPARE_FILES; number++) {
    const path = sparePath(directory, number);
    let fd: number;
    try {
      fd = fs().openSync(path, O_RDWR | O_CREAT | O_EXCL, FILE_MODE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") continue;
      throw error;
    }
    try {
      allocateSpace(fd, FIRST_BYTES);
    } catch (error) {
      fs().rmSync(path, { force: true });
      throw error;
    } finally {
      fs().closeSync(fd);
    }
  }
}
