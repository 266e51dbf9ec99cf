// The functions of libc that any command may call on its connection to munged and its standard streams. They are opened
// together, because each additional opening takes a command 6 us.
import { FFIType, openLibc } from "./libc.ts";

const { i32, ptr, u32, u64 } = FFIType;

/** As in libc, each returns a negative number on failure, and errno has the reason. */
export const calls = openLibc({
  socket: { args: [i32, i32, i32], returns: i32 },
  connect: { args: [i32, ptr, u32], returns: i32 },
  send: { args: [i32, ptr, u64, i32], returns: i32 },
  recv: { args: [i32, ptr, u64, i32], returns: i32 },
  poll: { args: [ptr, u64, i32], returns: i32 },
  close: { args: [i32], returns: i32 },
  fcntl: { args: [i32, i32], returns: i32 },
  signal: { args: [i32, ptr], returns: ptr },
  write: { args: [i32, ptr, u32], returns: i32 },
});
