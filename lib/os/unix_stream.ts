// A client's connection to a Unix stream socket, without the runtime's event loop. No call waits except ready() and sleep().
// Each call returns its result, or the system's error as a value. socket.ts has what munged's own sockets need.
import { calls } from "./command_calls.ts";
import { fixedMemory, type Pointer, ptr, SystemError } from "./libc.ts";
import { AF_UNIX } from "./unix_address.ts";

const isLinux = process.platform === "linux";
const isDarwin = process.platform === "darwin";

const SOCK_STREAM = 1;
// Non-blocking, so that a full listen queue gives EAGAIN instead of blocking forever. macOS has no such flag and needs
// none, because there a full queue gives ECONNREFUSED.
const SOCK_FLAGS = isLinux ? 0o2004000 : isDarwin ? 0 : 0x3000_0000;
const MSG_DONTWAIT = isLinux ? 0x40 : 0x80;
const MSG_NOSIGNAL = isLinux ? 0x4000 : isDarwin ? 0 : 0x2_0000;
const SEND_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;
const POLL_EVENTS = { read: 1, write: 4 } as const;
/** The system's error numbers that callers distinguish. */
export const ECONNREFUSED: number = isLinux ? 111 : 61;
export const ENOENT = 2;

/** Descriptor of a new connection to an address of unixAddress(). */
export function connectStream(address: Uint8Array): number | SystemError {
  const fd = calls.socket(AF_UNIX, SOCK_STREAM | SOCK_FLAGS, 0);
  if (fd < 0) return new SystemError("socket");
  if (calls.connect(fd, address, address.length) === 0) return fd;
  const error = new SystemError("connect");
  calls.close(fd);
  return error;
}

/** The number of bytes sent, beginning at `start`; never raises SIGPIPE, except on macOS. */
export function sendFrom(fd: number, bytes: Uint8Array, start: number): number | SystemError {
  const rest = start === 0 ? bytes : bytes.subarray(start);
  const count = calls.send(fd, rest, rest.length, SEND_FLAGS);
  return count < 0 ? new SystemError("send") : count;
}

/** The number of bytes received into `buffer` (fixedMemory()) at `start`; 0 once the other side has closed. */
export function receiveInto(fd: number, buffer: Uint8Array, start: number): number | SystemError {
  const address = (ptr(buffer) + start) as Pointer;
  const count = calls.recv(fd, address, buffer.length - start, MSG_DONTWAIT);
  return count < 0 ? new SystemError("recv") : count;
}

/** struct pollfd: fd i32, events i16, revents i16; the last two as one, of which events is the lower half. */
const pollFd = new Int32Array(fixedMemory(8));

/** Whether the descriptor becomes ready, or fails, within some milliseconds. */
export function ready(
  fd: number,
  direction: keyof typeof POLL_EVENTS,
  milliseconds: number,
): boolean | SystemError {
  pollFd[0] = fd;
  pollFd[1] = POLL_EVENTS[direction];
  const count = calls.poll(pollFd, 1, milliseconds);
  return count < 0 ? new SystemError("poll") : count > 0;
}

/**
 * Milliseconds on a clock that is never set back. The global `performance` has one too, but creating it on first use takes
 * 2 % of `munge -n`.
 */
export function now(): number {
  return Bun.nanoseconds() / 1e6;
}

/** Waits for the whole time, even if signals arrive meanwhile. */
export function sleep(milliseconds: number): void {
  const end = now() + milliseconds;
  for (let rest = milliseconds; rest > 0; rest = Math.ceil(end - now())) {
    calls.poll(null, 0, rest);
  }
}

/** Closes a connection. */
export function closeStream(fd: number): void {
  calls.close(fd);
}
