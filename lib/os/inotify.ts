// Linux's notifications of changes in directories (inotify(7)).
import { cString, FFIType, openLibc, SystemError } from "./libc.ts";

const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
/** Events for files created, replaced, removed or closed after writing; not for each write to an open file. */
const EVENTS = {
  attributes: 0x4,
  closedAfterWriting: 0x8,
  movedFrom: 0x40,
  movedTo: 0x80,
  created: 0x100,
  deleted: 0x200,
  selfDeleted: 0x400,
  selfMoved: 0x800,
} as const;
const ONLY_DIRECTORIES = 0x0100_0000;
const MASK = Object.values(EVENTS).reduce((mask, event) => mask | event, ONLY_DIRECTORIES);

const { i32, u32, ptr: pointer } = FFIType;

/** An open inotify instance. */
export interface Inotify {
  /** Readable once something has changed. */
  readonly fd: number;
  /** Watches a directory, or renews its watch; false if that is not possible. */
  watch(path: string): boolean;
}

/** Opens an inotify instance; null on other systems. @throws {SystemError} if the user has too many. */
export function openInotify(): Inotify | null {
  if (process.platform !== "linux") return null;
  const c = openLibc({
    inotify_init1: { args: [i32], returns: i32 },
    inotify_add_watch: { args: [i32, pointer, u32], returns: i32 },
  });
  const fd = c.inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) throw new SystemError("inotify_init1");
  return {
    fd,
    watch(path) {
      return c.inotify_add_watch(fd, cString(path), MASK) >= 0;
    },
  };
}
