// Waits for any of many descriptors: epoll on Linux, poll(2) elsewhere, behind one interface.
import { EINTR, errno, FFIType, fixedMemory, openLibc, ptr, SystemError } from "./libc.ts";

/** A set of watched descriptors, on which one thread waits. */
export interface Poller {
  /** The poller's own descriptor, if it has one. */
  readonly descriptor: number | null;
  /** Watches a descriptor until {@linkcode remove}; `shared` wakes only some of the threads that watch it. */
  add(fd: number, direction: "read" | "write", shared?: boolean): void;
  /** Stops watching; must be called before a watched descriptor is closed. */
  remove(fd: number): void;
  /**
   * Waits until a descriptor is ready or `milliseconds` have passed (-1: forever).
   *
   * @returns how many are ready; {@linkcode ready} returns each.
   */
  wait(milliseconds: number): number;
  /** The ready descriptor at `index` of the last wait. */
  ready(index: number): number;
}

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const EPOLLOUT = 4;
const EPOLLEXCLUSIVE = 1 << 28;
const MAX_EVENTS = 64;
/** struct epoll_event: events u32, data u64; packed on x86-64 only. */
const EVENT_WORDS = process.arch === "x64" ? 3 : 4;
const EVENT_DATA = process.arch === "x64" ? 1 : 2;

const { i32, u64, ptr: pointer } = FFIType;

function openEpoll(): Poller {
  const c = openLibc({
    epoll_create1: { args: [i32], returns: i32 },
    epoll_ctl: { args: [i32, i32, i32, pointer], returns: i32 },
    epoll_wait: { args: [i32, pointer, i32, i32], returns: i32 },
  });
  const epoll = c.epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) throw new SystemError("epoll_create1");
  const change = new Uint32Array(fixedMemory(EVENT_WORDS * 4));
  const changeAddress = ptr(change);
  const events = new Int32Array(fixedMemory(EVENT_WORDS * 4 * MAX_EVENTS));
  const eventsAddress = ptr(events);
  return {
    descriptor: epoll,
    add(fd, direction, shared = false) {
      change[0] = (direction === "read" ? EPOLLIN : EPOLLOUT) | (shared ? EPOLLEXCLUSIVE : 0);
      change[EVENT_DATA] = fd;
      if (c.epoll_ctl(epoll, EPOLL_CTL_ADD, fd, changeAddress) < 0) {
        throw new SystemError("epoll_ctl");
      }
    },
    remove(fd) {
      c.epoll_ctl(epoll, EPOLL_CTL_DEL, fd, changeAddress);
    },
    wait(milliseconds) {
      const count = c.epoll_wait(epoll, eventsAddress, MAX_EVENTS, milliseconds);
      if (count < 0 && errno() !== EINTR) throw new SystemError("epoll_wait");
      return Math.max(count, 0);
    },
    ready: (index) => events[index * EVENT_WORDS + EVENT_DATA]!,
  };
}

const POLLIN = 1;
const POLLOUT = 4;

function openPoll(): Poller {
  const c = openLibc({ poll: { args: [pointer, u64, i32], returns: i32 } });
  const watched = new Map<number, number>();
  let readyFds: number[] = [];
  return {
    descriptor: null,
    add(fd, direction) {
      watched.set(fd, direction === "read" ? POLLIN : POLLOUT);
    },
    remove(fd) {
      watched.delete(fd);
    },
    wait(milliseconds) {
      // struct pollfd: fd i32, events i16, revents i16
      const list = new Int16Array(watched.size * 4);
      const fds = new Int32Array(list.buffer);
      let i = 0;
      for (const [fd, events] of watched) {
        fds[i * 2] = fd;
        list[i * 4 + 2] = events;
        i++;
      }
      const count = c.poll(list, watched.size, milliseconds);
      if (count < 0 && errno() !== EINTR) throw new SystemError("poll");
      readyFds = [];
      for (i = 0; count > 0 && i < watched.size; i++) {
        if (list[i * 4 + 3] !== 0) readyFds.push(fds[i * 2]!);
      }
      return readyFds.length;
    },
    ready: (index) => readyFds[index]!,
  };
}

/** A new poller that watches nothing. */
export function openPoller(): Poller {
  return process.platform === "linux" ? openEpoll() : openPoll();
}
