// The user and group that this process acts as. In a file of its own, and opened when it is asked for: few
// runs of a client are, and opening takes time.
import { FFIType, openLibc, SystemError } from "./libc.ts";

function openIdentity() {
  return openLibc({
    setegid: { args: [FFIType.u32], returns: FFIType.i32 },
    seteuid: { args: [FFIType.u32], returns: FFIType.i32 },
  });
}

/** Takes on a group; node's setegid refuses half of the numbers there are. */
export function setEffectiveGroup(gid: number): void {
  if (openIdentity().setegid(gid) < 0) throw new SystemError("setegid");
}

/** Takes on a user; node's seteuid refuses half of the numbers there are. */
export function setEffectiveUser(uid: number): void {
  if (openIdentity().seteuid(uid) < 0) throw new SystemError("seteuid");
}
