// Connections, by the thousand, for tests that must do what no client does: plain calls into libc, and an epoll that
// only reports that the other side has hung up.
import {
  EAGAIN,
  errno,
  FFIType,
  fixedMemory,
  openLibc,
  ptr,
  SystemError,
} from "../../lib/os/libc.ts";
import { close, peek, send } from "../../lib/os/socket.ts";
import { AF_UNIX, unixAddress } from "../../lib/os/unix_address.ts";

const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SHUT_WR = 1;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const EPOLL_CTL_ADD = 1;
const MAX_EVENTS = 256;
const EVENT_WORDS = process.arch === "x64" ? 3 : 4;
const EVENT_DATA = process.arch === "x64" ? 1 : 2;
const EPOLLIN = 1;

const { i32, u32, ptr: pointer } = FFIType;
const c = openLibc({
  socket: { args: [i32, i32, i32], returns: i32 },
  sendmsg: { args: [i32, pointer, i32], returns: i32 },
  shutdown: { args: [i32, i32], returns: i32 },
  connect: { args: [i32, pointer, u32], returns: i32 },
  epoll_create1: { args: [i32], returns: i32 },
  epoll_ctl: { args: [i32, i32, i32, pointer], returns: i32 },
  epoll_wait: { args: [i32, pointer, i32, i32], returns: i32 },
});

/** Descriptor of a new connection, non-blocking by default; -1 if the listen queue is full. */
export function connect(path: string, flags = SOCK_NONBLOCK): number {
  const address = unixAddress(path)!;
  const fd = c.socket(AF_UNIX, SOCK_STREAM | flags, 0);
  if (fd < 0) throw new SystemError("socket");
  if (c.connect(fd, ptr(address), address.length) === 0) return fd;
  const reason = errno();
  close(fd);
  if (reason === EAGAIN) return -1;
  throw new SystemError("connect", reason);
}

/** Signals the end of input to the other side. */
export function endSending(fd: number): void {
  c.shutdown(fd, SHUT_WR);
}

/** Sends as much as the socket accepts. Returns the number of bytes. */
export function sendSome(fd: number, bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : Math.max(0, send(fd, ptr(bytes), bytes.length));
}

const nextByte = new Uint8Array(fixedMemory(1));

/** Whether there is something to read. */
export function hasAnswer(fd: number): boolean {
  return peek(fd, ptr(nextByte), 1) === 1;
}

/** Sends bytes, and with them these descriptors (SCM_RIGHTS, unix(7)). */
export function sendWithDescriptors(
  fd: number,
  bytes: Uint8Array,
  passed: readonly number[],
): void {
  const control = new Uint32Array(fixedMemory(16 + 4 * passed.length));
  control.set([control.byteLength, 0, SOL_SOCKET, SCM_RIGHTS, ...passed]);
  const vector = new BigUint64Array(fixedMemory(16));
  vector.set([BigInt(ptr(bytes)), BigInt(bytes.length)]);
  const header = new BigUint64Array(fixedMemory(56));
  header.set([BigInt(ptr(vector)), 1n, BigInt(ptr(control)), BigInt(control.byteLength)], 2);
  if (c.sendmsg(fd, header, 0) !== bytes.length) throw new SystemError("sendmsg");
}

/** Waits for the other side to hang up connections. */
export class HangUps {
  readonly #epoll = c.epoll_create1(0);
  readonly #change = new Uint32Array(fixedMemory(EVENT_WORDS * 4));
  readonly #events = new Int32Array(fixedMemory(EVENT_WORDS * 4 * MAX_EVENTS));

  /** Watches a connection until it is closed; `readable` also reports available bytes. */
  add(fd: number, readable = false): void {
    this.#change[0] = readable ? EPOLLIN : 0; // a hangup is always reported
    this.#change[EVENT_DATA] = fd;
    if (c.epoll_ctl(this.#epoll, EPOLL_CTL_ADD, fd, ptr(this.#change)) < 0) {
      throw new SystemError("epoll_ctl");
    }
  }

  /** Descriptors that were hung up or became readable within this time. */
  wait(milliseconds: number): number[] {
    const count = c.epoll_wait(this.#epoll, ptr(this.#events), MAX_EVENTS, milliseconds);
    return Array.from(
      { length: Math.max(0, count) },
      (_, i) => this.#events[i * EVENT_WORDS + EVENT_DATA]!,
    );
  }
}
