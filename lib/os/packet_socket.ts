// Connections between two processes of this host that preserve message boundaries (SOCK_SEQPACKET) and can pass a descriptor
// with a message (SCM_RIGHTS, unix(7)). No call waits. Linux only.
import { EAGAIN, EINTR, errno, FFIType, fixedMemory, openLibc, ptr, SystemError } from "./libc.ts";
import { AF_UNIX, SUN_PATH_LENGTH, unixAddress } from "./unix_address.ts";

const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;

/** Maximum length of a message. */
export const MAX_PACKET = 4096;

/**
 * The structures of sendmsg(2) on 64-bit systems: msghdr, then iovec, then room for a cmsghdr with two descriptors, because
 * alignment rounds the length for one up to that. They are the same for x64 and arm64, glibc and musl, except for the width
 * of two lengths, whose upper halves are 0. Offsets in bytes.
 */
const MSGHDR = { iov: 16, iovlen: 24, control: 32, controllen: 40, flags: 48 } as const;
const IOVEC = 56;
const CONTROL = 72;
const CMSG = {
  length: CONTROL,
  level: CONTROL + 8,
  type: CONTROL + 12,
  data: CONTROL + 16,
} as const;
const CONTROL_LENGTH = 24;
const CMSG_HEADER = 16;
const DESCRIPTOR_LENGTH = 4;
const STRUCTURES = CONTROL + CONTROL_LENGTH;

const { i32, ptr: pointer, u32 } = FFIType;

const c = openLibc({
  socket: { args: [i32, i32, i32], returns: i32 },
  bind: { args: [i32, pointer, u32], returns: i32 },
  listen: { args: [i32, i32], returns: i32 },
  connect: { args: [i32, pointer, u32], returns: i32 },
  sendmsg: { args: [i32, pointer, i32], returns: i32 },
  recvmsg: { args: [i32, pointer, i32], returns: i32 },
  close: { args: [i32], returns: i32 },
});

function open(path: string, use: (fd: number, address: Uint8Array) => string | null): number {
  if (process.platform !== "linux") throw new Error(`Not supported on ${process.platform}`);
  const address = unixAddress(path);
  if (address === undefined) {
    throw new Error(`Exceeded maximum length of ${SUN_PATH_LENGTH} bytes for socket pathname`);
  }
  const fd = c.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new SystemError("socket");
  const failed = use(fd, address);
  if (failed === null) return fd;
  const error = new SystemError(failed);
  c.close(fd);
  throw error;
}

/** Descriptor of a socket that listens on `path`, which must not exist yet. @throws {SystemError} */
export function listenForPackets(path: string): number {
  return open(path, (fd, address) => {
    if (c.bind(fd, address, address.length) < 0) return "bind";
    return c.listen(fd, 4) < 0 ? "listen" : null;
  });
}

/** Descriptor of a connection to the socket on `path`. @throws {SystemError} */
export function connectForPackets(path: string): number {
  return open(path, (fd, address) => c.connect(fd, address, address.length) < 0 ? "connect" : null);
}

/** Memory for one message and its structures, which lasts as long as this file is loaded. */
const message = new Uint8Array(fixedMemory(MAX_PACKET));
const structures = new Uint8Array(fixedMemory(STRUCTURES));

/** Fills the structures for a message of `length` bytes. */
function prepare(length: number, controlLength: number): DataView {
  structures.fill(0);
  const view = new DataView(structures.buffer);
  const pointAt = (offset: number, address: number) =>
    view.setBigUint64(offset, BigInt(address), true);
  const at = ptr(structures);
  pointAt(MSGHDR.iov, at + IOVEC);
  view.setUint32(MSGHDR.iovlen, 1, true);
  pointAt(IOVEC, ptr(message));
  view.setUint32(IOVEC + 8, length, true);
  pointAt(MSGHDR.control, controlLength === 0 ? 0 : at + CONTROL);
  view.setUint32(MSGHDR.controllen, controlLength, true);
  return view;
}

/**
 * Sends a message.
 *
 * @param bytes at least 1 and at most {@linkcode MAX_PACKET}.
 * @param passed a descriptor to pass, of which the receiver gets its own copy, or null.
 * @throws {SystemError} if it can't be sent now: EPIPE if the other side is gone.
 */
export function sendPacket(fd: number, bytes: Uint8Array, passed: number | null): void {
  message.set(bytes);
  const view = prepare(bytes.length, passed === null ? 0 : CONTROL_LENGTH);
  if (passed !== null) {
    view.setUint32(CMSG.length, CMSG_HEADER + DESCRIPTOR_LENGTH, true);
    view.setInt32(CMSG.level, SOL_SOCKET, true);
    view.setInt32(CMSG.type, SCM_RIGHTS, true);
    view.setInt32(CMSG.data, passed, true);
  }
  if (c.sendmsg(fd, structures, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    throw new SystemError("sendmsg");
  }
}

/** A received message, and the descriptor that came with it. */
export interface Packet {
  readonly bytes: Uint8Array;
  /** Not inherited by programs that we start. */
  readonly passed: number | null;
}

/**
 * Receives a message.
 *
 * @returns null if there is none yet; "closed" once the other side has closed.
 * @throws {SystemError} if the connection fails; {Error} for a message that is longer than {@linkcode MAX_PACKET}, or
 * passes more than one descriptor.
 */
export function receivePacket(fd: number): Packet | "closed" | null {
  const view = prepare(MAX_PACKET, CONTROL_LENGTH);
  const count = c.recvmsg(fd, structures, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count < 0) {
    const reason = errno();
    if (reason === EAGAIN || reason === EINTR) return null;
    throw new SystemError("recvmsg", reason);
  }
  const passed = descriptorsIn(view);
  const flags = view.getInt32(MSGHDR.flags, true);
  if (passed.length > 1 || (flags & (MSG_TRUNC | MSG_CTRUNC)) !== 0) {
    passed.forEach((each) => c.close(each));
    throw new Error("Message too long");
  }
  if (count === 0) return "closed";
  return { bytes: message.slice(0, count), passed: passed[0] ?? null };
}

function descriptorsIn(view: DataView): number[] {
  if (view.getUint32(MSGHDR.controllen, true) < CMSG_HEADER) return [];
  const isRights = view.getInt32(CMSG.level, true) === SOL_SOCKET &&
    view.getInt32(CMSG.type, true) === SCM_RIGHTS;
  if (!isRights) return [];
  const length = view.getUint32(CMSG.length, true) - CMSG_HEADER;
  const descriptors: number[] = [];
  for (let at = 0; at + DESCRIPTOR_LENGTH <= length; at += DESCRIPTOR_LENGTH) {
    descriptors.push(view.getInt32(CMSG.data + at, true));
  }
  return descriptors;
}
