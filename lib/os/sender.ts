// Identifies who sent the bytes that arrive on a Unix stream socket: Linux attaches the sender's identity to each message,
// and one call never returns bytes of two senders (unix(7), SO_PASSCRED).
import { FFIType, fixedMemory, openLibc, ptr, SystemError } from "./libc.ts";

const SOL_SOCKET = 1;
const SO_PASSCRED = 16;
const SCM_CREDENTIALS = 2;
const MSG_PEEK = 2;
const MSG_CTRUNC = 8;
const MSG_DONTWAIT = 0x40;

/** Whether this system attaches identities to messages. */
export const supportsPassCred: boolean = process.platform === "linux";

const { i32, u32, ptr: pointer } = FFIType;
const c = openLibc({
  recv: { args: [i32, pointer, u32, i32], returns: i32 },
  // Lengths stay far below 2^31, so the low half of the ssize_t suffices and no BigInt is created.
  recvmsg: { args: [i32, pointer, i32], returns: i32 },
  setsockopt: { args: [i32, i32, i32, pointer, u32], returns: i32 },
});

const one = new Uint32Array(fixedMemory(4));
one[0] = 1;

/** Makes the kernel attach the sender's identity to everything sent from now on. @throws {SystemError} */
export function enablePassCred(fd: number): void {
  if (c.setsockopt(fd, SOL_SOCKET, SO_PASSCRED, one, 4) < 0) throw new SystemError("setsockopt");
}

/**
 * The structures of recvmsg(2) on 64-bit Linux in 32-bit words: msghdr, then iovec, then room for a cmsghdr with a struct
 * ucred and nothing else, so that the kernel drops any descriptors that a client passes.
 */
const MSGHDR = { iov: 4, iovlen: 6, control: 8, controllen: 10, flags: 12 } as const;
const IOVEC = 14;
const CONTROL = 18;
const CONTROL_LENGTH = 32;
const CMSG = { level: CONTROL + 2, type: CONTROL + 3, data: CONTROL + 4 } as const;
const CREDENTIALS_LENGTH = 28;

const words = new Uint32Array(fixedMemory(4 * CONTROL + CONTROL_LENGTH));
const address = ptr(words);
putAddress(MSGHDR.iov, address + 4 * IOVEC);
words[MSGHDR.iovlen] = 1;
putAddress(MSGHDR.control, address + 4 * CONTROL);

function putAddress(word: number, value: number): void {
  words[word] = value >>> 0;
  words[word + 1] = Math.floor(value / 2 ** 32);
}

/** The sender of what {@linkcode receiveFrom} has returned. Reused by the next call. */
export const sender = { pid: 0, uid: 0, gid: 0 };

/** An ID that no user has, in case the kernel writes nothing. */
const NOBODY = 0xffff_ffff;

/**
 * Reads what one sender has sent into the memory at `target`, and fills {@linkcode sender}.
 *
 * @returns the number of bytes, 0 at the end, or -1 on an error.
 */
export function receiveFrom(fd: number, target: number, length: number): number {
  putAddress(IOVEC, target);
  words[IOVEC + 2] = length;
  words[MSGHDR.controllen] = CONTROL_LENGTH;
  words[CONTROL] = 0;
  const count = c.recvmsg(fd, words, MSG_DONTWAIT);
  const isKnown = count > 0 && (words[MSGHDR.flags]! & MSG_CTRUNC) === 0 &&
    words[MSGHDR.controllen]! >= CREDENTIALS_LENGTH && words[CONTROL] === CREDENTIALS_LENGTH &&
    words[CMSG.level] === SOL_SOCKET && words[CMSG.type] === SCM_CREDENTIALS;
  sender.pid = isKnown ? words[CMSG.data]! : 0;
  sender.uid = isKnown ? words[CMSG.data + 1]! : NOBODY;
  sender.gid = isKnown ? words[CMSG.data + 2]! : NOBODY;
  return count;
}

// The array itself is passed, not its address, which would not keep the memory from being reused.
const peeked = new Uint8Array(fixedMemory(1));

/** Whether unread bytes have arrived. */
export function hasInput(fd: number): boolean {
  return c.recv(fd, peeked, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}
