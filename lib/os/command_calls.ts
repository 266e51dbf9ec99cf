// The functions of libc that every command may call, on its connection to munged and on its standard streams. They are opened
// together, because each further opening takes a command 6 us.
import { FFIType, openLibc } from "./libc.ts";

const { i32, ptr, u32, u64 } = FFIType;

/** Like those of libc: each returns a negative number on failure, with the reason in errno. */
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
