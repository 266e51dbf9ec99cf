// Unix domain stream sockets for munged: listening, accepting, non-blocking reads and writes, and the peer's identity.
// Calls return what libc returns; after a negative number, errno has the reason.
import { FFIType, fixedMemory, openLibc, ptr, SystemError } from "./libc.ts";
import { AF_UNIX, SUN_PATH_LENGTH, unixAddress } from "./unix_address.ts";

const platform = process.platform;
const isLinux = platform === "linux";

const SOCK_STREAM = 1;
const SOCK_NONBLOCK = isLinux ? 0o4000 : 0x2000_0000;
const SOCK_CLOEXEC = isLinux ? 0o2000000 : 0x1000_0000;
const SOL_SOCKET = isLinux ? 1 : 0xffff;
const SO_PEERCRED = 17;
const MSG_PEEK = 2;
const SHUT_RDWR = 2;
/** Prevents SIGPIPE where the flag exists; macOS lacks it, but the runtime ignores that signal anyway. */
const SEND_FLAGS = platform === "darwin" ? 0 : isLinux ? 0x4000 : 0x2_0000;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = isLinux ? 0o4000 : 4;

/** Error numbers that callers of this file distinguish. */
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const ENOBUFS = isLinux ? 105 : 55;
export const ENOMEM = 12;

const { i32, i64, u32, ptr: pointer } = FFIType;
const c = openLibc({
  socket: { args: [i32, i32, i32], returns: i32 },
  bind: { args: [i32, pointer, u32], returns: i32 },
  listen: { args: [i32, i32], returns: i32 },
  accept: { args: [i32, pointer, pointer], returns: i32 },
  // Lengths stay far below 2^31, so the low half of the ssize_t suffices and no BigInt is created.
  recv: { args: [i32, pointer, u32, i32], returns: i32 },
  send: { args: [i32, pointer, u32, i32], returns: i32 },
  shutdown: { args: [i32, i32], returns: i32 },
  close: { args: [i32], returns: i32 },
  getsockopt: { args: [i32, i32, i32, pointer, pointer], returns: i32 },
  pipe: { args: [pointer], returns: i32 },
  read: { args: [i32, pointer, u32], returns: i32 },
  write: { args: [i32, pointer, u32], returns: i32 },
  // Six fillers push the variadic argument onto the stack, where Apple's arm64 calling convention expects it; elsewhere
  // the third argument is read from its register, and the stack is ignored.
  fcntl: { args: [i32, i32, i64, i64, i64, i64, i64, i64, i64], returns: i32 },
});
const accept4 = platform === "darwin" ? null : openLibc({
  accept4: { args: [i32, pointer, pointer, i32], returns: i32 },
}).accept4;
const getpeereid = isLinux ? null : openLibc({
  getpeereid: { args: [i32, pointer, pointer], returns: i32 },
}).getpeereid;

/** Makes the open file of a descriptor non-blocking, for every process that has it. */
export function setNonBlocking(fd: number): void {
  const flags = c.fcntl(fd, F_GETFL, 0, 0, 0, 0, 0, 0, 0);
  const wanted = flags | O_NONBLOCK;
  if (flags < 0 || c.fcntl(fd, F_SETFL, wanted, wanted, 0, 0, 0, 0, wanted) < 0) {
    throw new SystemError("fcntl");
  }
}

/**
 * Descriptor of a non-blocking socket that listens on `path`, which must not exist yet.
 *
 * @param prepare called right before the path is bound.
 */
export function listenUnix(path: string, backlog: number, prepare: () => void = () => {}): number {
  const address = unixAddress(path);
  if (address === undefined) {
    throw new Error(`Exceeded maximum length of ${SUN_PATH_LENGTH} bytes for socket pathname`);
  }
  const fd = c.socket(AF_UNIX, platform === "darwin" ? SOCK_STREAM : SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new SystemError("socket");
  try {
    prepare();
    if (c.bind(fd, address, address.length) < 0) throw new SystemError("bind");
    if (c.listen(fd, backlog) < 0) throw new SystemError("listen");
    setNonBlocking(fd);
    return fd;
  } catch (error) {
    c.close(fd);
    throw error;
  }
}

/** Sets the length of a listening socket's queue. */
export function setBacklog(listener: number, backlog: number): void {
  if (c.listen(listener, backlog) < 0) throw new SystemError("listen");
}

/** Descriptor of the next waiting connection, non-blocking, or -1. */
export const acceptConnection: (listener: number) => number = accept4 === null
  ? (listener) => c.accept(listener, null, null) // here, it inherits the listener's O_NONBLOCK
  : (listener) => accept4(listener, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);

/** Reads into the memory at `address`. Returns the number of bytes, 0 at the end, or -1 on an error. */
export function receive(fd: number, address: number, length: number): number {
  return c.recv(fd, address as never, length, 0);
}

/** Like {@linkcode receive}, but leaves the bytes in the socket. */
export function peek(fd: number, address: number, length: number): number {
  return c.recv(fd, address as never, length, MSG_PEEK);
}

/** Writes from the memory at `address`. Returns the number of bytes written, or -1; never raises SIGPIPE. */
export function send(fd: number, address: number, length: number): number {
  return c.send(fd, address as never, length, SEND_FLAGS);
}

/** Closes a descriptor. */
export function close(fd: number): void {
  c.close(fd);
}

/** Shuts down a listening socket for every thread that waits on it. */
export function shutdown(fd: number): void {
  c.shutdown(fd, SHUT_RDWR);
}

const credentials = new Uint32Array(fixedMemory(12));
const credentialsLength = new Uint32Array(fixedMemory(4));
const credentialsAddress = ptr(credentials);
const credentialsLengthAddress = ptr(credentialsLength);

/** The client's identity, from the kernel. Reused by the next call. */
export const peer = { pid: 0, uid: 0, gid: 0 };

/** An ID that no user has, in case the kernel writes nothing. */
const NOBODY = 0xffff_ffff;

/** Fills {@linkcode peer} for a connection; false if the kernel does not know. */
export function identifyPeer(fd: number): boolean {
  credentials.fill(NOBODY);
  credentials[0] = 0;
  credentialsLength[0] = credentials.byteLength;
  const status = getpeereid !== null
    ? getpeereid(fd, (credentialsAddress + 4) as never, (credentialsAddress + 8) as never)
    : c.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentialsAddress, credentialsLengthAddress);
  // struct ucred: pid, uid, gid. The process ID is 0 for a process in another PID namespace, and on systems other than
  // Linux.
  peer.pid = credentials[0]!;
  peer.uid = credentials[1]!;
  peer.gid = credentials[2]!;
  return status === 0 && peer.uid !== NOBODY && peer.gid !== NOBODY;
}

/** Both ends of a non-blocking pipe, for waking a thread that waits in a poller. */
export function openPipe(): { readEnd: number; writeEnd: number } {
  const ends = new Int32Array(2);
  if (c.pipe(ends) < 0) throw new SystemError("pipe");
  const [readEnd, writeEnd] = ends as unknown as [number, number];
  setNonBlocking(readEnd);
  setNonBlocking(writeEnd);
  return { readEnd, writeEnd };
}

const pipeBytes = new Uint8Array(fixedMemory(64));
const pipeAddress = ptr(pipeBytes);

/** Makes the pipe's read end readable; a full pipe is readable already. */
export function signalPipe(writeEnd: number): void {
  c.write(writeEnd, pipeAddress, 1);
}

/** Empties the pipe. */
export function drainPipe(readEnd: number): void {
  while (c.read(readEnd, pipeAddress, pipeBytes.length) > 0);
}
